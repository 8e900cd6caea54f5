"""How far a consumer is behind its topics, for `/metrics`."""

from collections import Counter
from collections.abc import Sequence

import structlog

from schemas.topics import Topic
from services.runtime.log import Consumer, LogUnavailable
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)


async def measure_lag(consumer: Consumer, group: str, topics: Sequence[Topic], metrics: Metrics) -> None:
    """Set the group's `rapt_consumer_lag_records`, topic by topic; 0 where this member owns no partition of one.

    While the log does not answer, what was measured last stays.
    """
    try:
        lag = await consumer.lag()
    except LogUnavailable as error:
        logger.warning("lag not measured", group=group, error=str(error))
        return
    records: Counter[str] = Counter()
    for source, behind in lag.items():
        records[source.topic] += behind
    for topic in topics:
        metrics.consumer_lag.labels(group, topic.name).set(records[topic.name])

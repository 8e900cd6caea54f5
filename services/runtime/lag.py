"""How far a consumer is behind its topics, for `/metrics`. The one place that measures it, for every group."""

from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from schemas.topics import Topic
from services.runtime.clock import now_ms
from services.runtime.log import Consumer, LogUnavailable
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)


async def measure_lag(
    consumer: Consumer, group: str, topics: Sequence[Topic], metrics: Metrics, clock_ms: Callable[[], int] = now_ms
) -> None:
    """Set the group's `rapt_consumer_lag_seconds`, and topic by topic `rapt_consumer_lag_records`; 0 where this member
    owns no partition of one.

    The seconds are the age, since the log took it, of the oldest record that is not finished. While the log does not
    answer, the records measured last stay; the seconds go on.
    """
    oldest_ms = consumer.oldest_ms()
    age_s = 0.0 if oldest_ms is None else max(0, clock_ms() - oldest_ms) / 1000
    metrics.consumer_lag_seconds.labels(group).set(age_s)
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

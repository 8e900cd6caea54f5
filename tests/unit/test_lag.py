"""The lag that `/metrics` shows."""

from collections.abc import Mapping

from schemas.topics import METRICS, STATUS
from services.runtime.lag import measure_lag
from services.runtime.log import LogUnavailable, Record, TopicPartition
from services.runtime.metrics import Metrics


class Behind:
    """A consumer that tells the lag it was given; None: the log does not answer."""

    def __init__(self, lags: Mapping[TopicPartition, int] | None) -> None:
        self.lags = lags

    async def start(self) -> None: ...

    def finish(self, record: Record) -> None: ...

    async def stop(self) -> None: ...

    async def lag(self) -> Mapping[TopicPartition, int]:
        if self.lags is None:
            raise LogUnavailable("the broker is away")
        return self.lags


def shown(metrics: Metrics, topic: str) -> float | None:
    return metrics.registry.get_sample_value("rapt_consumer_lag_records", {"group": "group", "topic": topic})


async def test_partitions_add_up_by_topic_and_what_was_given_away_counts_no_more() -> None:
    metrics = Metrics()
    consumer = Behind(
        {TopicPartition("metrics", 0): 2, TopicPartition("metrics", 5): 3, TopicPartition("status", 0): 1}
    )
    await measure_lag(consumer, "group", [METRICS, STATUS], metrics)
    assert (shown(metrics, "metrics"), shown(metrics, "status")) == (5, 1)
    consumer.lags = {TopicPartition("metrics", 0): 4}
    await measure_lag(consumer, "group", [METRICS, STATUS], metrics)
    assert (shown(metrics, "metrics"), shown(metrics, "status")) == (4, 0)


async def test_without_an_answer_the_last_measurement_stays() -> None:
    metrics, consumer = Metrics(), Behind({TopicPartition("metrics", 0): 2})
    await measure_lag(consumer, "group", [METRICS], metrics)
    consumer.lags = None
    await measure_lag(consumer, "group", [METRICS], metrics)
    assert shown(metrics, "metrics") == 2

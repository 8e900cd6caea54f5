"""The lag that `/metrics` shows."""

from collections.abc import Mapping

from schemas.topics import METRICS, STATUS
from services.runtime.lag import measure_lag
from services.runtime.log import LogUnavailable, Record, TopicPartition
from services.runtime.metrics import Metrics


class Behind:
    """A consumer that tells the lag it was given; None: the log does not answer."""

    def __init__(self, lags: Mapping[TopicPartition, int] | None, oldest: int | None = None) -> None:
        self.lags = lags
        self.oldest = oldest

    async def start(self) -> None: ...

    def finish(self, record: Record) -> None: ...

    async def stop(self) -> None: ...

    async def lag(self) -> Mapping[TopicPartition, int]:
        if self.lags is None:
            raise LogUnavailable("the broker is away")
        return self.lags

    def oldest_ms(self) -> int | None:
        return self.oldest


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


async def test_the_seconds_are_the_age_of_the_oldest_record_and_go_on_while_the_log_is_away() -> None:
    metrics, consumer = Metrics(), Behind({TopicPartition("metrics", 0): 2}, oldest=1_000)

    async def seconds(clock_ms: int) -> float | None:
        await measure_lag(consumer, "group", [METRICS], metrics, lambda: clock_ms)
        return metrics.registry.get_sample_value("rapt_consumer_lag_seconds", {"group": "group"})

    assert await seconds(4_500) == 3.5
    consumer.lags = None
    assert await seconds(6_000) == 5.0
    assert await seconds(900) == 0, "the broker's clock is a little ahead"
    consumer.oldest = None
    assert await seconds(7_000) == 0

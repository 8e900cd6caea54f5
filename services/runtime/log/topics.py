"""Creates and checks the topics in Kafka: for `rapt topics`, and at every start of a service. Idempotent."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from schemas.topics import ANALYZER_STATE, FRAMES, TOPICS, Topic
from services.runtime.log.connection import Connection
from services.runtime.log.port import MAX_VALUE_BYTES, LogStartFailed, LogUnavailable

REQUEST_TIMEOUT_MS = 10_000
COMPACTED_AFTER_MS = 300_000  # no record before: until then a reader tells by their epochs which of a key's counts
READY_WITHIN_S = 15.0
MOST_REPLICAS = 3
ALREADY_EXISTS = 36


# Whoever owns a partition of the second finds what belongs to it on the partition of the same number of the first.
SIDE_BY_SIDE = ((ANALYZER_STATE.name, FRAMES.name),)
TOPIC_SETTING = 1  # Kafka's number for "set on this topic"


class _Setting(NamedTuple):
    value: str
    of_the_topic: bool


class Difference(NamedTuple):
    """One thing that is not as wanted; `mendable` where it can be changed while the topic is in use."""

    setting: str
    found: str
    wanted: str
    mendable: bool = True

    def __str__(self) -> str:
        return f"{self.setting}: {self.found}, wanted {self.wanted}"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found of one topic. `mended` had differences; all other states tell what is there now."""

    name: str
    state: Literal["created", "as wanted", "mended", "differs"]
    partitions: int
    differences: tuple[Difference, ...] = ()


def topic_settings(topic: Topic) -> dict[str, str]:
    """The topic's settings in Kafka's terms. Pure.

    `retention_bytes` is the whole topic's; Kafka counts per partition. Only closed segments are removed, so a segment
    is closed after a tenth of the retention time.
    """
    settings = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime",
        # A batch of a producer that compresses in a way that is not installed here could not be read, nor passed over.
        "compression.type": "uncompressed",
        "max.message.bytes": str(MAX_VALUE_BYTES + (1 << 20)),
        "retention.ms": str(-1 if topic.retention_ms is None else topic.retention_ms),
        "retention.bytes": str(-1 if topic.retention_bytes is None else topic.retention_bytes // topic.partitions),
    }
    if topic.compacted:
        lag_ms = str(COMPACTED_AFTER_MS)
        settings |= {"min.cleanable.dirty.ratio": "0.2", "segment.ms": lag_ms, "min.compaction.lag.ms": lag_ms}
    elif topic.retention_ms is not None:
        settings["segment.ms"] = str(max(60_000, topic.retention_ms // 10))
    if topic.retention_bytes is not None:
        settings["segment.bytes"] = str(64 << 20)
    return settings


async def ensure_topics(
    connection: Connection, topics: Sequence[Topic] = TOPICS, *, mend: bool = False
) -> list[TopicReport]:
    """Create what is missing and compare the rest. What exists is changed only to `mend`, and only settings: keys of
    another number of partitions would be on other ones.

    Raises `LogStartFailed` when Kafka cannot be reached or refuses.
    """
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            admin = await connect_admin(connection)
    except TimeoutError:
        raise LogStartFailed(unreachable(connection.bootstrap)) from None
    try:
        created = await _create(admin, topics)
        counts = await _partition_counts(admin, topics)
        found = await _settings(admin, [topic for topic in topics if topic.name not in created])
        reports = [
            _report(topic, topic.name in created, counts[topic.name], found.get(topic.name, {})) for topic in topics
        ]
        return [await _mend(admin, each, found.get(each.name, {})) if mend else each for each in reports]
    except (KafkaError, TimeoutError, OSError) as error:
        raise LogStartFailed(f"Kafka at {connection.bootstrap} did not tell its topics: {describe(error)}") from error
    finally:
        await admin.close()


def mismatch(counts: Mapping[str, int]) -> str | None:
    """What is wrong with these numbers of partitions, such that services cannot work. Pure."""
    for beside, topic in SIDE_BY_SIDE:
        if beside in counts and topic in counts and counts[beside] != counts[topic]:
            return (
                f"the topic {beside} has {counts[beside]} partitions and {topic} has {counts[topic]}; "
                "both need the same number, see `rapt topics`"
            )
    return None


async def connect_admin(connection: Connection) -> AIOKafkaAdminClient:
    """An administrative connection; tries until it is there. Raises `LogStartFailed` where Kafka refuses it."""
    while True:
        admin = AIOKafkaAdminClient(**connection.options, client_id="rapt", request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
            return admin
        except KafkaError:
            await admin.close()
            if refusal := await connection.refusal():
                raise LogStartFailed(refusal) from None
            await asyncio.sleep(0.25)


def unreachable(bootstrap: str) -> str:
    return (
        f"Kafka at {bootstrap} cannot be reached; "
        "is it running, and are KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL right?"
    )


def describe(error: BaseException) -> str:
    """An error of the client in a few words."""
    return str(error) or type(error).__name__


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> set[str]:
    there = set(await admin.list_topics())
    missing = [topic for topic in topics if topic.name not in there]
    if not missing:
        return set()
    replicas = min(MOST_REPLICAS, len((await admin.describe_cluster())["brokers"]))
    new = [NewTopic(topic.name, topic.partitions, replicas, topic_configs=topic_settings(topic)) for topic in missing]
    response = await admin.create_topics(new, timeout_ms=REQUEST_TIMEOUT_MS)
    created = set()
    for name, code, *_ in response.topic_errors:
        if code == 0:
            created.add(name)
        elif code != ALREADY_EXISTS:  # another service was faster
            raise LogStartFailed(f"Kafka would not create the topic {name}: {describe(for_code(code)())}")
    return created


async def _partition_counts(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> Mapping[str, int]:
    """Wait until every partition has a leader, then count them."""
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            described = await admin.describe_topics([topic.name for topic in topics])
            if all(
                topic["error_code"] == 0
                and topic["partitions"]
                and all(partition["leader"] >= 0 for partition in topic["partitions"])
                for topic in described
            ):
                return {topic["topic"]: len(topic["partitions"]) for topic in described}
            await asyncio.sleep(0.1)


async def _settings(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, _Setting]]:
    """What Kafka says of the topics: name → setting → value, and whether it was set on the topic."""
    if not topics:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    found: dict[str, dict[str, _Setting]] = {}
    for response in await admin.describe_configs(wanted):
        for code, _, _, name, entries in response.resources:
            if code:
                raise LogUnavailable(f"Kafka would not tell the settings of {name}: {describe(for_code(code)())}")
            found[name] = {entry[0]: _Setting(entry[1], entry[3] == TOPIC_SETTING) for entry in entries}
    return found


def _report(topic: Topic, created: bool, partitions: int, found: Mapping[str, _Setting]) -> TopicReport:
    if created:
        return TopicReport(topic.name, "created", partitions)
    differences = []
    if partitions != topic.partitions:
        differences.append(Difference("partitions", str(partitions), str(topic.partitions), mendable=False))
    for setting, wanted in topic_settings(replace(topic, partitions=partitions)).items():
        value = found[setting].value if setting in found else "nothing"
        if value != wanted:
            differences.append(Difference(setting, value, wanted))
    return TopicReport(topic.name, "differs" if differences else "as wanted", partitions, tuple(differences))


async def _mend(admin: AIOKafkaAdminClient, report: TopicReport, found: Mapping[str, _Setting]) -> TopicReport:
    """Set what can be set. aiokafka can only replace all settings of a topic, so those that are not ours go along."""
    changes = {each.setting: each.wanted for each in report.differences if each.mendable}
    if not changes:
        return report
    kept = {name: setting.value for name, setting in found.items() if setting.of_the_topic}
    resource = ConfigResource(ConfigResourceType.TOPIC, report.name, {**kept, **changes})
    for response in await admin.alter_configs([resource]):
        for code, text, *_ in response.resources:
            if code:
                raise LogStartFailed(f"Kafka would not change the topic {report.name}: {text or for_code(code)()}")
    left = tuple(each for each in report.differences if not each.mendable)
    return replace(report, state="differs", differences=left) if left else replace(report, state="mended")

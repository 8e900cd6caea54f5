"""Groups on a real Kafka when members come, go, die, sleep and come back: who owns what, and who is told what when."""

import signal
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from schemas.topics import Topic
from services.runtime.log import Consumer, EventLog, Record, TopicPartition
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.kafka_group import GENERATION_BITS
from services.runtime.log.partitions import partition_of
from tests.support.kafka import KafkaNode
from tests.support.log_member import PARTITIONS, MemberProcess, topic_named
from tests.support.log_reader import until

ALL = set(range(PARTITIONS))


class Member:
    """A member in this process: what it owns, and each assignment that it heard of."""

    consumer: Consumer

    def __init__(self) -> None:
        self.owned: set[int] = set()
        self.epochs: list[int] = []
        self.revocations = 0
        self.values: list[bytes] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        self.owned |= {each.partition for each in partitions}
        self.epochs.append(epoch)

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            self.values.append(record.value)
            self.consumer.finish(record)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.owned -= {each.partition for each in partitions}
        self.revocations += 1


class Group:
    """One group of one topic, and all that is to be ended after the test."""

    def __init__(self, node: KafkaNode) -> None:
        self.topic: Topic = topic_named(f"frames-{uuid.uuid4().hex[:8]}")
        self.name = f"group-of-{self.topic.name}"
        self._bootstrap = node.bootstrap
        self.log: EventLog = KafkaLog(node.bootstrap, [self.topic])
        self._processes: list[MemberProcess] = []
        self._members: list[Member] = []

    async def join(self) -> Member:
        member = Member()
        member.consumer = self.log.consumer([self.topic], member, group=self.name)
        self._members.append(member)
        await member.consumer.start()
        return member

    async def leave(self, member: Member) -> None:
        self._members.remove(member)
        await member.consumer.stop()

    def process(self, instance_id: str | None = None, *, joins: bool = True) -> MemberProcess:
        process = MemberProcess(self._bootstrap, self.topic.name, self.name, instance_id)
        self._processes.append(process)
        if joins:
            process.join()
        return process

    def end_process(self, process: MemberProcess, how: signal.Signals) -> int:
        self._processes.remove(process)
        return process.end(how)

    async def send(self, partition: int, value: bytes) -> None:
        key = next(f"{number}" for number in range(10_000) if partition_of(f"{number}", PARTITIONS) == partition)
        await (await self.log.send(self.topic, key, value))

    async def end(self) -> None:
        for process in self._processes:
            process.end(signal.SIGKILL)
        for member in list(self._members):
            await self.leave(member)
        await self.log.close()


@pytest.fixture
async def group(kafka: KafkaNode) -> AsyncIterator[Group]:
    group = Group(kafka)
    await group.log.start()
    yield group
    await group.end()


async def settled(*members: Member, shares: Callable[[], bool]) -> list[set[int]]:
    await until(lambda: set().union(*(each.owned for each in members)) == ALL and shares(), "all is owned again")
    return [set(each.owned) for each in members]


async def test_a_replica_more_or_less_moves_only_what_it_must(group: Group) -> None:
    a = await group.join()
    (alone,) = await settled(a, shares=lambda: len(a.owned) == 12)
    b = await group.join()
    of_two = await settled(a, b, shares=lambda: len(a.owned) == len(b.owned) == 6)
    c = await group.join()
    of_three = await settled(a, b, c, shares=lambda: len(a.owned) == len(b.owned) == len(c.owned) == 4)
    await group.leave(b)
    left = await settled(a, c, shares=lambda: len(a.owned) == len(c.owned) == 6)
    assert alone == ALL
    assert of_three[0] < of_two[0]
    assert of_three[1] < of_two[1]
    assert of_three[0] < left[0]
    assert of_three[2] < left[1]
    first = a.epochs[0]
    assert a.epochs == [first, first + 1, first + 2, first + 3], "each follows directly"


@pytest.mark.parametrize("leads", [False, True])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_static_member_that_comes_back_disturbs_nobody(group: Group, how: signal.Signals, leads: bool) -> None:
    if leads:
        first = group.process("replica-7")
        await until(lambda: bool(first.told("assigned")), "it leads the group: it was the first")
        other = await group.join()
    else:
        other = await group.join()
        first = group.process("replica-7")
    await until(lambda: bool(first.told("assigned")) and len(other.owned) == 6, "both own their half")
    await until(lambda: len(first.told("assigned")[-1]["partitions"]) == 6, "it knows")
    second = group.process("replica-7", joins=False)
    await until(lambda: bool(second.told("connected")), "all that takes long is done")
    heard, assigned = (list(other.epochs), other.revocations), first.told("assigned")[-1]
    group.end_process(first, how)
    await group.send(assigned["partitions"][0], b"while it was away")
    second.join()
    await until(lambda: bool(second.told("handle")), "it goes on")
    (again,) = second.told("assigned")
    assert again["partitions"] == assigned["partitions"]
    assert again["epoch"] == assigned["epoch"] + (1 << GENERATION_BITS), "another process: greater, in one generation"
    assert (other.epochs, other.revocations) == heard
    assert second.told("handle")[0]["values"] == ["while it was away"]
    after = await group.join()
    await until(lambda: len(after.owned) == 4, "a rebalance")
    assert after.epochs[0] > again["epoch"], "also for those who were not restarted"


async def test_who_was_put_out_while_asleep_hears_that_first_and_commits_nothing(group: Group) -> None:
    other = await group.join()
    sleeper = group.process()
    await until(lambda: bool(sleeper.told("assigned")) and len(other.owned) == 6, "both own their half")
    mine = sleeper.told("assigned")[0]["partitions"][0]
    await group.send(mine, b"held")
    await until(lambda: bool(sleeper.told("handle")), "it holds one, and has finished none")
    sleeper.send(signal.SIGSTOP)
    await group.send(mine, b"in the socket of the sleeper")
    await until(lambda: other.owned == ALL, "the other one has all")
    await until(lambda: {b"held", b"in the socket of the sleeper"} <= set(other.values), "it read on from the commit")
    before = len(sleeper.heard)
    sleeper.send(signal.SIGCONT)
    await until(lambda: len(sleeper.told("assigned")) == 2 and len(other.owned) == 6, "it is a member again")
    since = [each["what"] for each in sleeper.heard[before:]]
    assert since[:2] == ["revoked", "assigned"], "nothing of what it had fetched was handed over"
    await until(lambda: any("offsets not committed" in line for line in sleeper.log), "its commit was refused")
    await group.send(mine, b"after")
    await until(lambda: b"after" in other.values or "after" in str(sleeper.told("handle")), "it goes on")
    assert other.values.count(b"held") == 1
    assert "in the socket of the sleeper" not in str(sleeper.told("handle")), "its heir's commit stands"

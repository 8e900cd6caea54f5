"""Dead letters: what is written, what is read of them, what goes out again. The log is a list here."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest

from schemas.topics import ANALYZER_STATE, BY_NAME, DEAD_LETTERS, Topic
from services.runtime.deadletter import Letter, LetterId, Wanted
from services.runtime.deadletter_desk import AT_ONCE_RECORDS, NoSuchLetter, read_letter, read_letters, retry
from services.runtime.deadletters import DeadLetters, Malformed
from services.runtime.log import LogUnavailable, Position, Record
from services.runtime.log.port import MAX_VALUE_BYTES
from services.runtime.metrics import Metrics


class ListLog:
    """Takes records as a log does, on one partition per topic; refuses those of `away`."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Record]] = {}
        self.away: str | None = None

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        assert len(value) <= MAX_VALUE_BYTES
        done: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if topic.name == self.away:
            done.set_exception(LogUnavailable("the broker is away"))
            return done
        records = self.sent.setdefault(topic.name, [])
        headers = {"schema": topic.schema, "session_id": key, **(headers or {})}
        offset = len(records)
        records.append(Record(topic.name, 0, offset, key, value, headers, 1_760_000_000_000 + offset))
        done.set_result(Position(0, offset))
        return done

    async def records(self, topic: Topic) -> AsyncGenerator[Record, None]:
        for record in list(self.sent.get(topic.name, ())):
            yield record


@pytest.fixture
def log() -> ListLog:
    return ListLog()


def bad(offset: int = 0, *, key: str = "s-1", topic: str = "metrics", value: bytes = b"{}", **headers: str) -> Record:
    return Record(topic, 3, offset, key, value, headers, 1_760_000_000_000)


async def bury(log: ListLog, *records: Record, group: str = "sink-store", why: str = "no JSON") -> None:
    letters = DeadLetters(log, Metrics(), group)  # type: ignore[arg-type]
    for record in records:
        await letters.send(record, Malformed(why))


async def again(log: ListLog, *chosen: LetterId) -> object:
    letters = await read_letters(log)
    wanted = chosen or tuple(letter.id for letter in letters if letter.retried_at_ms is None)
    return await retry(log, log, letters, wanted)  # type: ignore[arg-type]


async def test_a_letter_says_where_from_by_whom_and_why(log: ListLog) -> None:
    metrics = Metrics()
    letters = DeadLetters(log, metrics, "sink-store")  # type: ignore[arg-type]
    await letters.send(bad(17, value=b"[]", traceparent="00-1", schema="metrics.v9"), Malformed("newer"))
    (letter,) = await read_letters(log)
    assert letter.origin == ("metrics", 3, 17)
    assert (letter.key, letter.group, letter.error_class, letter.error) == ("s-1", "sink-store", "Malformed", "newer")
    assert (letter.size_bytes, letter.retries, letter.retried_at_ms, letter.cut) == (2, 0, None, None)
    assert letter.headers == {"schema": "metrics.v9", "session_id": "s-1", "traceparent": "00-1"}
    counted = metrics.registry.get_sample_value("rapt_dead_letters_total", {"topic": "metrics", "error": "Malformed"})
    assert counted == 1


async def test_a_mistake_of_ours_brings_its_traceback(log: ListLog) -> None:
    def mistaken() -> None:
        raise ZeroDivisionError("by nought")

    letters = DeadLetters(log, Metrics(), "sink-store")  # type: ignore[arg-type]
    for raising in (mistaken, lambda: LetterId.parse("x" * 5_000)):
        try:
            raising()
        except ValueError as error:
            await letters.send(bad(2), Malformed(str(error)))
        except ZeroDivisionError as error:
            await letters.send(bad(1), error)
    bug, *malformed = await read_letters(log)
    assert "in mistaken" in bug.traceback
    assert bug.traceback.endswith("ZeroDivisionError: by nought\n")
    assert [(letter.traceback, len(letter.error)) for letter in malformed] == [("", 1000)]


async def test_what_the_log_would_not_take_whole_is_cut_and_stays(log: ListLog) -> None:
    flood = {f"h{number}": "x" * 1000 for number in range(100)}
    wordy_record = replace(bad(2), headers=flood)
    await bury(log, bad(1, value=bytes(MAX_VALUE_BYTES + 1)), wordy_record)
    long, wordy = await read_letters(log)
    assert long.cut == f"of {MAX_VALUE_BYTES + 1} bytes and 0 headers"
    assert wordy.cut == "of 2 bytes and 100 headers"
    assert 0 < len(wordy.headers) < 100
    done = await again(log)
    assert done.records == 0  # type: ignore[attr-defined]
    assert [letter for letter, _ in done.left] == [long.id, wordy.id]  # type: ignore[attr-defined]
    assert "metrics" not in log.sent


async def test_a_retry_goes_to_its_topic_with_its_own_key_and_headers(log: ListLog) -> None:
    await bury(log, bad(1, value=b"one", traceparent="00-1", epoch="7"))
    await again(log)
    (sent,) = log.sent["metrics"]
    assert (sent.key, sent.value) == ("s-1", b"one")
    assert sent.headers == {
        "schema": "metrics.v1",  # the log's, since the record had none
        "session_id": "s-1",
        "traceparent": "00-1",
        "epoch": "7",
        "retries": "1",
    }


async def test_a_second_failure_comes_back_with_its_count(log: ListLog) -> None:
    await bury(log, bad(1))
    for _ in range(2):
        await again(log)
        await bury(log, log.sent["metrics"][-1])
    assert [letter.retries for letter in await read_letters(log)] == [0, 1, 2]
    assert [letter.retried_at_ms is None for letter in await read_letters(log)] == [False, False, True]
    assert [record.headers["retries"] for record in log.sent["metrics"]] == ["1", "2"]


async def test_what_was_sent_again_is_marked_and_not_sent_twice(log: ListLog) -> None:
    await bury(log, bad(1), bad(2))
    await again(log, LetterId(0, 0))
    assert [letter.retried_at_ms is None for letter in await read_letters(log)] == [False, True]
    await again(log)
    await again(log)
    assert len(log.sent["metrics"]) == 2
    assert len(await read_letters(log)) == 2  # a mark is no letter


async def test_letters_of_two_groups_about_one_record_are_one_record_sent(log: ListLog) -> None:
    frame = bad(9, topic="frames", value=b"no JPEG", kind="frame")
    await bury(log, frame, group="analyzer")
    await bury(log, frame, frame, group="recorder")  # twice: it died before it committed
    await again(log, LetterId(0, 1))
    assert [record.value for record in log.sent["frames"]] == [b"no JPEG"]
    assert all(letter.retried_at_ms for letter in await read_letters(log))


async def test_letters_that_do_not_tell_their_origin_are_not_taken_for_one(log: ListLog) -> None:
    for value in (b"a", b"b"):
        await log.send(DEAD_LETTERS, "s-1", value, {"origin_topic": "signals"})
    await again(log)
    assert [record.value for record in log.sent["signals"]] == [b"a", b"b"]


async def test_records_of_a_key_go_out_in_their_order(log: ListLog) -> None:
    many = AT_ONCE_RECORDS * 2 + 1
    await bury(log, *(bad(number, value=str(number).encode()) for number in range(many)))
    await again(log)
    assert [int(record.value) for record in log.sent["metrics"]] == list(range(many))


@pytest.mark.parametrize("away", ["metrics", DEAD_LETTERS.name])
async def test_nothing_is_marked_that_the_log_did_not_take(log: ListLog, away: str) -> None:
    await bury(log, bad(1))
    log.away = away
    with pytest.raises(LogUnavailable):
        await again(log)
    log.away = None
    (letter,) = await read_letters(log)
    assert letter.retried_at_ms is None


@pytest.mark.parametrize("origin", ["", "weather", "dead-letters"])
async def test_a_letter_without_a_topic_to_go_to_stays(log: ListLog, origin: str) -> None:
    await log.send(DEAD_LETTERS, "s-1", b"?", {"origin_topic": origin, "retried": "0:0"} if origin else {})
    (letter,) = await read_letters(log)
    assert letter.cannot_go == f"its origin {origin!r} is no topic of Rapt's"
    await again(log)
    assert set(log.sent) == {DEAD_LETTERS.name}


@pytest.mark.parametrize("retried", ["", "x", "1", "1:2:3", "-1:0", "9" * 20 + ":1"])
async def test_a_mark_that_names_nothing_is_shown(log: ListLog, retried: str) -> None:
    await log.send(DEAD_LETTERS, "s-1", b"", {"retried": retried})
    assert len(await read_letters(log)) == 1


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [0, 1, 2]),
        (Wanted(topic="metrics"), [0, 2]),
        (Wanted(session="s-1"), [0, 1]),
        (Wanted(error="JSON"), [0, 1]),
        (Wanted(error="malformed: no"), [0, 1]),
        (Wanted(topic="metrics", session="s-2", error="zero"), [2]),
        (Wanted(topic="jobs"), []),
    ],
)
async def test_letters_are_found(log: ListLog, wanted: Wanted, found: list[int]) -> None:
    await bury(log, bad(1), bad(2, topic="signals", key="", session_id="s-1"))
    await bury(log, bad(3, key="s-2"), why="division by zero")
    assert [letter.id.offset for letter in await read_letters(log, wanted)] == found


async def test_one_letter_and_its_value(log: ListLog) -> None:
    await bury(log, bad(1, value=b"a"), bad(2, value=b"b"))
    letter, value = await read_letter(log, LetterId(0, 1))
    assert (letter.origin.offset, value) == (2, b"b")
    for missing in (LetterId(0, 7), LetterId(1, 1)):
        with pytest.raises(NoSuchLetter, match=str(missing)):
            await read_letter(log, missing)


@pytest.mark.parametrize("text", ["", "3", "3:", ":1", "a:b", "-1:2", "1:2 ", "1:2:3", "١:٢"])
def test_what_is_no_letters_name_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="wanted partition:offset"):
        LetterId.parse(text)


def test_a_letters_name_reads_as_it_is_written() -> None:
    assert LetterId.parse(str(LetterId(11, 1 << 40))) == LetterId(11, 1 << 40)


def test_a_retry_never_takes_the_place_of_something_newer() -> None:
    letters = {name: Letter.of(bad(origin_topic=name)) for name in BY_NAME}
    stay = {name: letter.cannot_go for name, letter in letters.items() if letter.cannot_go}
    assert set(stay) == {DEAD_LETTERS.name, ANALYZER_STATE.name}
    assert "would replace what came after it" in (stay[ANALYZER_STATE.name] or "")

"""What waits for a socket is bounded, and what is owed is never dropped."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.outbox import MAX_CONTROL, Outbox


def drain(outbox: Outbox) -> list[str | bytes]:
    sent = []
    while (message := outbox.pop()) is not None:
        sent.append(message)
    return sent


def test_acknowledgements_merge_and_go_first() -> None:
    outbox = Outbox(lambda: 8)
    outbox.result("metrics")
    for seq in range(5):
        outbox.ack(seq)
    assert drain(outbox) == ['{"type":"ack","seq":4,"credit":8}', "metrics"]


def test_an_acknowledgement_goes_before_what_follows_it() -> None:
    outbox = Outbox(lambda: 8)
    outbox.control("started")
    outbox.ack(1)
    outbox.control("ended")
    assert drain(outbox) == ["started", '{"type":"ack","seq":1,"credit":8}', "ended"]


def test_an_acknowledgement_can_be_repeated() -> None:
    outbox = Outbox(lambda: 8)
    outbox.ack(3)
    assert len(drain(outbox)) == 1
    outbox.ack(3)
    assert drain(outbox) == []
    outbox.repeat_ack()
    outbox.ack(2)
    assert drain(outbox) == ['{"type":"ack","seq":3,"credit":8}']


def test_the_oldest_results_go() -> None:
    outbox = Outbox(lambda: 8, max_results=3)
    for number in range(5):
        outbox.result(str(number))
    assert outbox.dropped == 2
    assert drain(outbox) == ["2", "3", "4"]


def test_a_client_that_lets_control_pile_up_is_stuck() -> None:
    outbox = Outbox(lambda: 8)
    for _ in range(MAX_CONTROL):
        outbox.control("error")
    assert not outbox.stuck
    outbox.control("error")
    assert outbox.stuck


@given(st.lists(st.sampled_from(["control", "ack", "result", "pop"]), max_size=300))
def test_control_keeps_its_order_and_the_newest_acknowledgement_arrives(steps: list[str]) -> None:
    outbox = Outbox(lambda: 8, max_results=4)
    controls, acked, sent = 0, -1, []
    for step in steps:
        match step:
            case "control":
                outbox.control(f'{{"control":{controls}}}')
                controls += 1
            case "ack":
                acked += 1
                outbox.ack(acked)
            case "result":
                outbox.result('{"result":0}')
            case _:
                if (message := outbox.pop()) is not None:
                    sent.append(message)
    read = [json.loads(message) for message in [*sent, *drain(outbox)]]
    assert [each["control"] for each in read if "control" in each] == list(range(controls))
    acks = [each["seq"] for each in read if "seq" in each]
    assert acks == sorted(set(acks))
    assert (acks[-1] if acks else -1) == acked

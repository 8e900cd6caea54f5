"""Instances that are shared by threads."""

import threading

import pytest

from services.analyzer.vision.pool import Pool, PoolClosed


class Item:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_it_opens_no_more_than_are_needed_and_no_more_than_allowed() -> None:
    opened: list[Item] = []

    def open_one() -> Item:
        opened.append(Item())
        return opened[-1]

    pool = Pool(open_one, most=2)
    for _ in range(3):
        with pool.borrowed():
            pass
    assert len(opened) == 1
    got_one = threading.Event()

    def third() -> None:
        with pool.borrowed() as item:
            assert item in opened
            got_one.set()

    with pool.borrowed() as one:
        with pool.borrowed() as other:
            assert one is not other
            waiting = threading.Thread(target=third)
            waiting.start()
            assert not got_one.is_set()
        waiting.join(10)
    assert got_one.is_set()
    assert len(opened) == 2


def test_one_that_fails_is_thrown_away_and_its_place_is_free() -> None:
    pool = Pool(Item, most=1)
    with pytest.raises(RuntimeError, match="lost"), pool.borrowed() as failed:
        raise RuntimeError("lost")
    assert failed.closed
    with pool.borrowed() as next_one:
        assert next_one is not failed


def test_one_that_cannot_be_opened_leaves_its_place_free() -> None:
    failures = [OSError("no model")]

    def open_one() -> Item:
        if failures:
            raise failures.pop()
        return Item()

    pool = Pool(open_one, most=1)
    with pytest.raises(OSError, match="no model"), pool.borrowed():
        pass
    with pool.borrowed() as item:
        assert not item.closed


def test_closing_closes_what_is_free_now_and_the_rest_when_it_comes_back() -> None:
    pool = Pool(Item, most=2)
    with pool.borrowed() as away:
        with pool.borrowed() as free:
            pass
        pool.close()
        assert (free.closed, away.closed) == (True, False)
    assert away.closed


def test_nobody_waits_for_an_instance_of_a_closed_pool() -> None:
    pool = Pool(Item, most=1)
    refused = threading.Event()

    def borrow() -> None:
        with pytest.raises(PoolClosed), pool.borrowed():
            pass
        refused.set()

    with pool.borrowed():
        waiting = threading.Thread(target=borrow, daemon=True)
        waiting.start()
        pool.close()
    assert refused.wait(10)
    with pytest.raises(PoolClosed), pool.borrowed():
        pass

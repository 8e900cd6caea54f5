"""Dead letters in a terminal: what they hold may come from anybody."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from services.runtime.deadletter import Letter
from services.runtime.deadletter_view import first_bytes, list_as_json, plain, print_letter, print_list
from services.runtime.log import Record


def letter(offset: int = 0, **headers: str) -> Letter:
    said = {"origin_topic": "frames", "origin_partition": "2", "origin_offset": "7", "group": "recorder", **headers}
    return Letter.of(Record("dead-letters", 3, offset, "s-1", b"abc", said, 1_760_000_000_000 + offset))


def printed(*letters: Letter, last: int = 0) -> str:
    text = io.StringIO()
    print_list(letters, Console(file=text, width=200), last)
    return text.getvalue()


def test_a_list_says_how_many_from_when() -> None:
    text = printed(letter(0), letter(5_000, retries="2"))
    assert "2 dead letters, 2025-10-09 08:53:20 UTC to 2025-10-09 08:53:25 UTC; 0 sent again" in text
    assert "frames 2:7" in text
    assert "3:5000" in text
    assert printed() == "no dead letters\n"
    assert list_as_json([]) == {"count": 0, "oldest_at_ms": None, "newest_at_ms": None, "letters": []}


def test_of_many_the_last_are_shown() -> None:
    text = printed(letter(1), letter(2), letter(3), last=2)
    assert [f"3:{offset} " in text for offset in (1, 2, 3)] == [False, True, True]
    assert "3 dead letters" in text
    assert "these are the last 2; --last 0 shows all" in text
    for all_of_them in (0, 3, 4):
        shown = printed(letter(1), letter(2), letter(3), last=all_of_them)
        assert "3:1 " in shown
        assert "these are" not in shown


def test_a_letter_shows_its_headers_and_how_its_value_begins() -> None:
    text = io.StringIO()
    print_letter(letter(error="[bold]no[/bold]", kind="frame"), b"abc", Console(file=text, width=200))
    shown = text.getvalue()
    assert "[bold]no[/bold]" in shown
    assert "header kind: frame" in shown
    assert shown.endswith("abc\n")


def test_a_value_is_text_where_it_is_text() -> None:
    assert first_bytes('{"é": 1}'.encode()) == '{"é": 1}'
    assert first_bytes("aé".encode(), most=2) == "a\n… 1 more bytes; --out FILE writes all"
    assert first_bytes(b"\xff\xd8\xff\xe0") == "0000  ff d8 ff e0"
    assert first_bytes(b"\x1b[31m").startswith("0000  1b 5b")
    assert first_bytes(bytes(300)).endswith("… 44 more bytes; --out FILE writes all")


@given(st.binary(max_size=600))
def test_no_value_steers_a_terminal(value: bytes) -> None:
    assert all(each.isprintable() or each in "\r\n\t" for each in first_bytes(value))


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\x9b31m", "\x00"])
def test_no_header_steers_a_terminal(text: str) -> None:
    assert plain(text).plain.isprintable()

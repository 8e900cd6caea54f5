"""Dead letters for a terminal, and as JSON. They may come from anybody: nothing in them steers the terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.runtime.deadletter import Letter

SHOWN_BYTES = 256
SHOWN_ERROR = 160


def as_json(letter: Letter) -> dict[str, Any]:
    """One letter as `list --json` and `show --json` print it."""
    return {
        "id": str(letter.id),
        "at_ms": letter.at_ms,
        "key": letter.key,
        "group": letter.group,
        "origin": {"topic": letter.origin.topic, "partition": letter.origin.partition, "offset": letter.origin.offset},
        "error_class": letter.error_class,
        "error": letter.error,
        "traceback": letter.traceback,
        "size_bytes": letter.size_bytes,
        "headers": dict(letter.headers),
        "retries": letter.retries,
        "cut": letter.cut,
        "retried_at_ms": letter.retried_at_ms,
    }


def list_as_json(letters: Sequence[Letter]) -> dict[str, Any]:
    return {
        "count": len(letters),
        "oldest_at_ms": letters[0].at_ms if letters else None,
        "newest_at_ms": letters[-1].at_ms if letters else None,
        "letters": [as_json(letter) for letter in letters],
    }


def print_list(letters: Sequence[Letter], out: Console, last: int = 0) -> None:
    """A table of the `last` (0: all), the newest last, and how many there are from when to when."""
    if not letters:
        out.print("no dead letters")
        return
    table = Table("letter", "when", "from", "key", "group", "error", "bytes", "retries", "")
    for each in letters[-last:]:
        error = f"{each.error_class}: {each.error}"[:SHOWN_ERROR]
        cells = [str(each.id), when(each.at_ms), str(each.origin), each.key, each.group, error, str(each.size_bytes)]
        cells += [str(each.retries or ""), "" if each.retried_at_ms is None else "sent again"]
        table.add_row(*(plain(cell) for cell in cells))
    out.print(table)
    again = sum(letter.retried_at_ms is not None for letter in letters)
    noun = "dead letter" if len(letters) == 1 else "dead letters"
    out.print(f"{len(letters)} {noun}, {when(letters[0].at_ms)} to {when(letters[-1].at_ms)}; {again} sent again")
    if 0 < last < len(letters):
        out.print(f"these are the last {last}; --last 0 shows all")


def print_letter(letter: Letter, value: bytes, out: Console) -> None:
    """All that is known of one, and how its value begins."""
    rows = {
        "letter": str(letter.id),
        "written": f"{when(letter.at_ms)} by {letter.group or '?'}",
        "from": str(letter.origin),
        "key": letter.key,
        "error": f"{letter.error_class}: {letter.error}",
        "retries": f"{letter.retries} before this letter",
        "sent again": "no" if letter.retried_at_ms is None else when(letter.retried_at_ms),
        "value": f"{letter.size_bytes} bytes" + (f"; cut when it was buried, {letter.cut}" if letter.cut else ""),
    }
    for name, said in (*rows.items(), *((f"header {name}", text) for name, text in letter.headers.items())):
        out.print(plain(f"{name}: {said}"), soft_wrap=True)
    if letter.traceback:
        out.print(plain(f"\n{letter.traceback.rstrip()}"), soft_wrap=True)
    if value:
        out.print()
        out.print(plain(first_bytes(value)), soft_wrap=True)


def first_bytes(value: bytes, most: int = SHOWN_BYTES) -> str:
    """The beginning as text where it is text, else in hexadecimal, sixteen bytes a line."""
    head = value[:most]
    more = f"\n… {len(value) - len(head)} more bytes; --out FILE writes all" if len(value) > len(head) else ""
    for cut in range(4):  # a character of UTF-8 may be cut in two
        try:
            text = head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        if all(character.isprintable() or character in "\r\n\t" for character in text):
            return text + more
        break
    return "\n".join(f"{at:04x}  {head[at : at + 16].hex(' ')}" for at in range(0, len(head), 16)) + more


def when(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"


def plain(text: str) -> Text:
    """Without markup and without characters that steer a terminal."""
    return Text("".join(each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in text))

"""`rapt topics`: what is there, what differs, and what to do about it."""

import json
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.topics import TOPICS, Topic
from services.runtime.log.connection import Connection
from services.runtime.log.topics import Difference, TopicReport, ensure_topics
from services.runtime.log.topics_keys import misplaced

PARTITIONS_REFUSED = (
    "not changed: keys would go to other partitions, where another owner has neither their order nor their state. "
    "Stop rapt ingest, wait until rapt_consumer_lag_records of every group is 0, stop the other services, "
    "delete the topic with Kafka's tools, run `rapt topics`, start all again"
)
KEY_REFUSED = (
    "another producer writes here with a partitioner of its own, so a key's records are on two partitions: "
    "let it use murmur2 of the key, as Kafka's clients do by default"
)
APPLY = "rapt topics --apply"


async def run_topics(
    connection: Connection, *, mend: bool, out: Console, as_json: bool, topics: Sequence[Topic] = TOPICS
) -> int:
    """Create, compare and, with `mend`, change settings; print it. Returns 1 where something still differs, else 0.

    Raises `LogUnavailable`."""
    reports = await ensure_topics(connection, topics, mend=mend)
    strange = await misplaced(connection, {each.name: each.partitions for each in reports})
    reports = [_with(each, strange.get(each.name)) for each in reports]
    if as_json:
        out.print_json(json.dumps({"topics": [_to_json(each) for each in reports]}))
    else:
        table = Table("topic", "partitions", "state", "found, and wanted", "what to do")
        for each in reports:
            said = "\n".join(str(difference) for difference in each.differences)
            advice = "\n".join(dict.fromkeys(filter(None, (_advice(each, found) for found in each.differences))))
            table.add_row(each.name, str(each.partitions), each.state, escape(said), advice)
        out.print(table)
    return 1 if any(each.state == "differs" for each in reports) else 0


def _with(report: TopicReport, strange: Difference | None) -> TopicReport:
    if strange is None:
        return report
    left = report.differences if report.state == "differs" else ()
    return replace(report, state="differs", differences=(*left, strange))


def _advice(report: TopicReport, difference: Difference) -> str:
    if difference.mendable:
        return "" if report.state == "mended" else APPLY
    return KEY_REFUSED if difference.setting == "key" else PARTITIONS_REFUSED


def _to_json(report: TopicReport) -> dict[str, object]:
    return {
        "topic": report.name,
        "partitions": report.partitions,
        "state": report.state,
        "differences": [
            {
                "setting": each.setting,
                "found": each.found,
                "wanted": each.wanted,
                "what_to_do": _advice(report, each),
            }
            for each in report.differences
        ],
    }

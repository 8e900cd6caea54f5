"""What is in a log or a store today must be readable tomorrow: every version's example is kept as bytes.

A change that breaks a reader fails here. A new field needs a default; anything else needs a new version of its topic
and a new file: `python -m tests.contract.test_stored_examples` writes the files that are missing and never touches one
that is there.
"""

from pathlib import Path

import pytest

from schemas import examples
from schemas.base import Contract
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import TOPICS

STORED = Path(__file__).parent / "stored"

READERS: dict[str, type[Contract]] = {
    **{topic.schema: topic.model for topic in TOPICS if topic.model is not None},
    "frames.start.v1": SessionStart,
    "frames.end.v1": SessionEnd,
}
EXAMPLES: dict[str, Contract] = {
    **{topic.schema: topic.example for topic in TOPICS if isinstance(topic.example, Contract)},
    "frames.start.v1": examples.SESSION_START,
    "frames.end.v1": examples.SESSION_END,
}


@pytest.mark.parametrize("schema", sorted(READERS))
def test_a_stored_example_reads_as_what_was_written(schema: str) -> None:
    path = STORED / f"{schema}.json"
    assert path.exists(), f"no stored example of {schema}; see the head of this file"
    assert READERS[schema].decode(path.read_bytes()) == EXAMPLES[schema]


def test_a_prediction_written_before_there_were_features_reads() -> None:
    value = (
        b'{"session_id":"s-7f3a","window":0,"from_ms":1760000000000,"to_ms":1760000005000,"change_score":0.12,'
        b'"cluster_id":3,"probe":"HH","emotion":"Happy","color":"#eecdac","model":"centroids-1"}'
    )
    then: dict[str, object] = {"features": {}, "arousal": None, "valence": None}
    assert READERS["predictions.v1"].decode(value) == examples.PREDICTION.model_copy(update=then)


if __name__ == "__main__":
    for schema, example in EXAMPLES.items():
        path = STORED / f"{schema}.json"
        if not path.exists():
            path.write_bytes(example.encode() + b"\n")

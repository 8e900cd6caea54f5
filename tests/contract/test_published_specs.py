"""`docs/asyncapi.json` and `docs/openapi.json` say what the code says.

`python -m tests.contract.test_published_specs` writes them anew; look at the difference before you commit it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from schemas.topics import TOPICS
from services import assembly
from services.runtime.settings import Settings
from tests.support.needs import REPOSITORY


def asyncapi() -> dict[str, Any]:
    """Every topic with its key, retention and model."""
    broker = KafkaBroker("kafka:9092")
    for topic in TOPICS:
        kept = "compacted" if topic.compacted else f"kept {topic.retention_ms} ms"
        broker.publisher(
            topic.name,
            title=topic.name,
            schema=topic.model or bytes,
            description=f"{topic.schema} ({topic.content_type}), keyed by {topic.key}, "
            f"{topic.partitions} partitions, {kept}, written by {topic.owner}",
        )
    described = AsyncAPI(broker, title="Rapt", version="1", schema_version="3.0.0").to_specification()
    spec: dict[str, Any] = json.loads(described.to_json())
    return spec


def openapi() -> dict[str, Any]:
    """The edge with every router that it mounts."""
    with TemporaryDirectory() as folder:
        edge = assembly.embedded(Settings(rapt_data=Path(folder), port=0)).edge
        spec: dict[str, Any] = edge.asgi.openapi()
        return spec


SPECS: dict[str, Callable[[], dict[str, Any]]] = {"asyncapi.json": asyncapi, "openapi.json": openapi}


def render(spec: dict[str, Any]) -> str:
    return json.dumps(spec, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", SPECS)
def test_the_published_description_is_what_the_code_says(name: str) -> None:
    published = (REPOSITORY / "docs" / name).read_text()
    assert published == render(SPECS[name]()), "write it anew: python -m tests.contract.test_published_specs"


if __name__ == "__main__":
    for name, describe in SPECS.items():
        (REPOSITORY / "docs" / name).write_text(render(describe()))

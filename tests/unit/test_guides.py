"""The guides name everything that a user may set, watch or be told."""

from typing import get_args

from schemas import wire
from schemas.events import FrameMetrics
from services.analyzer.domain.prediction import CENTROIDS, EMOTIONS, QUADRANTS
from services.analyzer.domain.windows import FEATURES
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from tests.support.needs import REPOSITORY


def guide(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text()


def missing(names: set[str], text: str) -> set[str]:
    return {name for name in names if f"`{name}" not in text}


def test_every_setting_is_in_the_table_of_settings() -> None:
    assert not missing({name.upper() for name in Settings.model_fields}, guide("configuration.md"))


def test_every_metric_is_in_the_operations_guide() -> None:
    assert not missing({family.name for family in Metrics().registry.collect()}, guide("operations.md"))


def test_every_error_and_close_code_is_in_the_wire_protocol() -> None:
    text = guide("wire-protocol.md")
    assert not missing(set(get_args(wire.ErrorCode)), text)
    codes = {str(code) for name, code in vars(wire).items() if name.startswith("CLOSE_")}
    assert codes <= set(text.replace("|", " ").replace(",", " ").split())


def test_every_number_is_defined() -> None:
    identity = {"session_id", "seq", "captured_at_ms", "received_at_ms", "analyzed_at_ms", "analyzer_version"}
    text = guide("metrics.md")
    assert {name for name in FrameMetrics.model_fields if name not in text} - identity == set()


def test_every_feature_and_cluster_is_in_the_predictions_of_the_metrics_guide() -> None:
    text = guide("metrics.md").partition("## Predictions")[2]
    assert not missing(set(FEATURES), text)
    for cluster_id, (arousal, valence) in enumerate(CENTROIDS):
        probe = QUADRANTS[cluster_id]
        emotion, color = EMOTIONS[probe]
        row = f"| {cluster_id} | {arousal}, {valence} | {probe} | {emotion} | `{color}` |".replace("-", "−")
        assert row in text

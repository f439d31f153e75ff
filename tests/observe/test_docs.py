"""docs/observability.md says what the code says."""

import json
import re
from pathlib import Path

import pytest

from pavo.config import MetricsSettings, TracesSettings
from pavo.observe import metrics
from pavo.observe.exposition import BUILD_INFO

FILES = Path(__file__).parents[2] / "src" / "pavo" / "deploy" / "dashboards"


@pytest.fixture
def document(root: Path) -> str:
    return (root / "docs" / "observability.md").read_text()


def rows() -> list[str]:
    """The table of metrics as it must stand there."""
    found: list[str] = []
    owners = (("API", metrics.OF_API), ("worker", metrics.OF_WORKER), ("gateway", metrics.OF_GATEWAY))
    for meter in dict.fromkeys((*metrics.OF_API, *metrics.OF_WORKER, *metrics.OF_GATEWAY)):
        parts = [part for part, own in owners if meter in own]
        labels = ", ".join(f"`{label}`" for label in meter.labels)
        found.append(f"| `{meter.name}` | {meter.kind} | {', '.join(parts)} | {labels} | {meter.text} |")
    return found


def test_every_metric_is_described(document: str) -> None:
    described = [line for line in document.splitlines() if line.startswith("| `pavo_") and BUILD_INFO not in line]
    assert described == rows()


def test_every_alert_is_described(document: str) -> None:
    alerts = re.findall(r"- alert: (\w+)", (FILES / "alerts.yaml").read_text())
    assert re.findall(r"^\| `(Pavo\w+)` \|", document, re.MULTILINE) == alerts


def test_every_row_of_the_dashboard_is_described(document: str) -> None:
    panels = json.loads((FILES / "pavo.json").read_text())["panels"]
    for row in (panel["title"] for panel in panels if panel["type"] == "row"):
        assert f"**{row}**" in document, row


def test_every_setting_is_described(document: str) -> None:
    for section in (MetricsSettings, TracesSettings):
        for field in section.model_fields.values():
            assert f"`{field.validation_alias}" in document, field.validation_alias

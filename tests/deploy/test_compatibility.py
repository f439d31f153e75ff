"""The version matrix: its verdicts, its document, and what the tests really ran."""

import importlib.metadata
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from tools.build_temporal import TESTED
from tools.compatibility_table import text

from pavo.deploy.model.compatibility import (
    VersionVerdict,
    assess,
    matrix,
    minors_between,
    parse,
    refuse_bad,
    temporal_row,
)
from pavo.errors import ConfigurationError
from pavo.kit import migrate
from tests.deploy.native.stack import BEFORE, NEWEST, OLDEST

ROOT = Path(__file__).parent.parent.parent


def test_the_document_is_generated_from_the_matrix() -> None:
    assert (ROOT / "docs" / "compatibility.md").read_text() == text(matrix()) + "\n", (
        "run: python tools/compatibility_table.py > docs/compatibility.md"
    )


@pytest.mark.parametrize(
    ("version", "schemas"),
    [
        ("1.24.0", ("1.12", "1.5")),
        ("1.24.1", ("1.12", "1.5")),
        ("1.24.2", ("1.12", "1.6")),
        ("1.25.2", ("1.14", "1.6")),
        ("1.26.3", ("1.14", "1.7")),
        ("1.27.1", ("1.15", "1.9")),
        ("1.28.0", ("1.17", "1.9")),
        ("1.29.4", ("1.18", "1.9")),
        ("1.30.7", ("1.18", "1.13")),
        ("1.31.2", ("1.19", "1.14")),
        ("v1.32.1", ("1.19", "1.14")),
    ],
)
def test_schemas_of_a_server(version: str, schemas: tuple[str, str]) -> None:
    row = temporal_row(version)
    assert row is not None and (row.schema_version, row.visibility_schema) == schemas


@pytest.mark.parametrize(
    ("versions", "worst"),
    [
        ({"temporal": "1.32.1", "postgres": "15.18 (Debian 15.18-0+deb12u1)"}, VersionVerdict.GOOD),
        ({"temporal": "1.32.1", "postgres": "17"}, VersionVerdict.UNKNOWN),
        ({"temporal": "1.40.0"}, VersionVerdict.UNKNOWN),
        ({"temporal": "1.9.0"}, VersionVerdict.BAD),
        ({"postgres": "12.4"}, VersionVerdict.BAD),
        ({"postgres": "11"}, VersionVerdict.BAD),
        ({"postgres": "30"}, VersionVerdict.UNKNOWN),
        ({"sdk": "2.0.0"}, VersionVerdict.UNKNOWN),
    ],
)
def test_what_is_known(versions: dict[str, str], worst: VersionVerdict) -> None:
    order = [VersionVerdict.GOOD, VersionVerdict.UNKNOWN, VersionVerdict.BAD]
    found = assess(**versions)
    assert max((each.verdict for each in found), key=order.index) is worst, found
    if worst is VersionVerdict.BAD:
        with pytest.raises(ConfigurationError) as refusal:
            refuse_bad(found, forced=False)
        assert "--force-version" in (refusal.value.remedy or "")
        assert refuse_bad(found, forced=True)


def test_the_way_of_an_upgrade() -> None:
    assert minors_between("1.30.7", "1.32.1") == ["1.31", "1.32"]
    assert minors_between("1.32.0", "1.32.1") == []
    with pytest.raises(ConfigurationError, match="cannot go back"):
        minors_between("1.32.1", "1.31.0")
    with pytest.raises(ConfigurationError, match="not a version"):
        parse("latest")
    for minor, patch in matrix().path.items():
        assert patch.startswith(f"{minor}.")


def test_the_matrix_is_of_this_pavo() -> None:
    known = matrix()
    head = ScriptDirectory.from_config(migrate.config("postgresql://nobody@localhost/none")).get_current_head()
    assert known.pavo_schema[-1].revision == head, "a new migration belongs in compatibility.toml"
    assert importlib.metadata.version("temporalio").startswith(known.pins.python_sdk)
    assert set(TESTED) == {NEWEST, BEFORE, OLDEST} == {row.temporal for row in known.tested}
    assert known.pins.temporal == NEWEST

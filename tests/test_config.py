"""Settings: read from the environment, explained when wrong, and documented in one table."""

import os
import runpy
from pathlib import Path
from unittest.mock import patch

import pytest

from pavo import config
from pavo.errors import ConfigurationError


def test_the_table_of_variables_is_the_settings_class(root: Path) -> None:
    tool = runpy.run_path(str(root / "tools" / "config_table.py"))
    wanted = tool["HEAD"] + "\n".join(tool["rows"]()) + "\n"
    assert (root / "docs" / "configuration.md").read_text() == wanted, "run tools/config_table.py"


def test_variables_and_their_alias() -> None:
    with patch.dict(os.environ, {"TEMPORAL_TARGET": "temporal:7233", "PAVO_PROGRESS_STEPS": "7"}, clear=True):
        settings = config.load()
    assert settings.temporal.address == "temporal:7233"
    assert settings.execution.progress_steps == 7
    assert (settings.temporal.task_queue, settings.http.host, settings.http.auth) == (
        "orchestrator",
        "127.0.0.1",
        "dev",
    )


def test_variables_of_others_that_are_named_like_fields_change_nothing() -> None:
    with patch.dict(os.environ, {}, clear=True):
        wanted = config.load()
    sections = list(config.Settings.model_fields)
    names = {name for section in sections for name in type(getattr(wanted, section)).model_fields} | set(sections)
    assert {"port", "host", "url", "namespace", "redis", "database_url"} <= names
    others = {name.upper(): "1" for name in names if name != "database_url"}  # DATABASE_URL is Pavo's own
    with patch.dict(os.environ, others, clear=True):
        assert config.load() == wanted
    with patch.dict(os.environ, {"DATABASE_URL": "postgresql://a/b"}, clear=True):
        found = config.load()
    assert found.database.url == "postgresql://a/b" and found.temporal.database_url is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PAVO_PORT", "http"), ("PAVO_PROGRESS_STEPS", "0"), ("PAVO_AUTH", "none"), ("PAVO_LOG_LEVEL", "LOUD")],
)
def test_a_wrong_value_names_its_variable(variable: str, value: str) -> None:
    with patch.dict(os.environ, {variable: value}), pytest.raises(ConfigurationError) as wrong:
        config.load()
    assert wrong.value.field == variable and variable in (wrong.value.remedy or "") and value in wrong.value.detail


def test_secrets_do_not_show() -> None:
    with patch.dict(os.environ, {"PAVO_SECRET_KEY": "x" * 40, "TEMPORAL_API_KEY": "y" * 40}):
        shown = repr(config.load())
    assert "xxxx" not in shown and "yyyy" not in shown

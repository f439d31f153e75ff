"""What a deployment keeps is one whole, whoever dies while it is written; which changes open or blind it is known."""

import base64
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pavo import config
from pavo.deploy.local.components.pavo_process import with_kept_settings
from pavo.deploy.local.deployed_settings import changed, kept_or_adopted
from pavo.deploy.model import kept_settings, setting_rules, settings_plan
from pavo.deploy.model.kept_settings import KeptSettings
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.setting_rules import CODEC_KEY, FORMER_KEYS
from pavo.deploy.model.settings_plan import keep, plan_settings
from pavo.errors import ConfigurationError, Conflict, InvalidInput, NotFound, PavoError
from tests import command

KEYS = [base64.b64encode(bytes([n] * 32)).decode() for n in range(3)]
SHELL = {"PAVO_AUTH": "token", CODEC_KEY: KEYS[0], "OTEL_SERVICE_NAME": "pavo", "HOME": "/root", "PAVO_PORT": "9000"}


def started(root: Path, shell: dict[str, str]) -> KeptSettings:
    layout = Layout(root)
    keep(layout, plan_settings(layout, shell))
    found = kept_settings.load(layout)
    assert found is not None
    return found


def test_a_first_start_keeps_the_settings_of_its_shell_and_later_ones_change_nothing(tmp_path: Path) -> None:
    kept = started(tmp_path, SHELL)
    assert dict(kept.values) == {"PAVO_AUTH": "token", CODEC_KEY: KEYS[0], "OTEL_SERVICE_NAME": "pavo"}
    other = {"PAVO_AUTH": "dev", CODEC_KEY: KEYS[1], "PAVO_WORKER_TASKS": "7"}
    plan = plan_settings(Layout(tmp_path), other)
    assert [each.name for each in plan.differences] == ["PAVO_AUTH", CODEC_KEY, "PAVO_WORKER_TASKS"]
    said = "\n".join([*plan.notes(), json.dumps(plan.public())])
    assert "this shell has dev, the deployment keeps token" in said and "pavo deploy set PAVO_AUTH" in said
    assert KEYS[0] not in said and KEYS[1] not in said
    assert started(tmp_path, other) == kept


def test_secrets_are_apart_and_nobody_else_reads_either_file(tmp_path: Path) -> None:
    started(tmp_path, SHELL)
    plain, secret = tmp_path / "settings.json", tmp_path / "settings-secrets.1.json"
    assert KEYS[0] not in plain.read_text() and json.loads(secret.read_text()) == {CODEC_KEY: KEYS[0]}
    assert {file.stat().st_mode & 0o777 for file in (plain, secret)} == {0o600}


def test_parts_get_what_is_kept_and_nothing_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(tmp_path, SHELL)
    monkeypatch.setenv("PAVO_AUTH", "dev")
    monkeypatch.setenv("PAVO_WORKER_TASKS", "7")
    monkeypatch.setenv("OPENAI_API_KEY", "of the shell")
    given = with_kept_settings(Layout(tmp_path), {"PAVO_SECRET_KEY": "made", "PAVO_PORT": "8000"})
    assert (given["PAVO_AUTH"], given[CODEC_KEY], given["PAVO_SECRET_KEY"]) == ("token", KEYS[0], "made")
    assert "PAVO_WORKER_TASKS" not in given and given["OPENAI_API_KEY"] == "of the shell"


def test_what_is_named_for_agents_is_kept_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started from another shell, agents had no key, or another's, and nothing said so."""
    named = {setting_rules.FOR_AGENTS: "MODEL_KEY, CERTIFICATE,ABSENT,PGHOST", "MODEL_KEY": "first"}
    kept = started(tmp_path, {**named, "CERTIFICATE": "two\nlines", "OTHER_KEY": "x", "PGHOST": "x"})
    assert set(kept.values) == {setting_rules.FOR_AGENTS, "MODEL_KEY", "CERTIFICATE"}
    plan = plan_settings(Layout(tmp_path), {"MODEL_KEY": "second", "ABSENT": "there"})
    assert [each.name for each in plan.differences] == ["ABSENT", "MODEL_KEY"]
    told = "\n".join(plan.notes())
    assert "MODEL_KEY=(secret)" in told and "CERTIFICATE=(secret)" in told and "first" not in told
    for name in ("MODEL_KEY", "ABSENT", "OTHER_KEY"):
        monkeypatch.setenv(name, "of the shell")
    given = with_kept_settings(Layout(tmp_path), {"PAVO_SECRET_KEY": "made"})
    assert (given["MODEL_KEY"], given["CERTIFICATE"]) == ("first", "two\nlines")
    assert "ABSENT" not in given, "what the plan says holds"
    assert given["OTHER_KEY"] == "of the shell", "it is none of the deployment's"


def test_a_change_is_whole_wherever_its_process_dies(tmp_path: Path) -> None:
    """At each call that writes, one process after the other is ended just before it; the next change works."""
    kept = started(tmp_path, SHELL)
    code = """
import os, sys
from pathlib import Path
from pavo.deploy.model import kept_settings
from pavo.deploy.model.layout import Layout
left = int(sys.argv[2])
def mortal(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if not left:
            os._exit(9)
        return real(*args, **kwargs)
    return call
for name in ("open", "fsync", "replace", "rename", "unlink"):
    setattr(os, name, mortal(name))
layout = Layout(Path(sys.argv[1]))
kept = kept_settings.load(layout)
wanted = {"PAVO_AUTH": "token", "PAVO_SECRET_KEY": "s" * 40, "N": sys.argv[2]}
kept_settings.save(layout, wanted, expected=kept.revision)
"""
    deaths, after = 0, kept
    for at in range(1, 30):
        before = kept_settings.load(Layout(tmp_path))
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(at)], check=False)
        found = kept_settings.load(Layout(tmp_path))
        assert before is not None and found is not None
        after = found
        wanted = {"PAVO_AUTH": "token", "PAVO_SECRET_KEY": "s" * 40, "N": str(at)}
        assert dict(after.values) in (dict(before.values), wanted)
        if not done.returncode:
            assert dict(after.values) == wanted
            break
        assert done.returncode == 9
        deaths += 1
    assert deaths >= 5 and kept.revision == 1
    left = sorted(file.name for file in tmp_path.iterdir() if "settings" in file.name)
    assert left == sorted(["settings.json", "settings.lock", f"settings-secrets.{after.revision}.json"])


def test_two_first_starts_at_once_keep_the_settings_of_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    plans = [plan_settings(layout, {"PAVO_WORKER_TASKS": str(n + 1)}) for n in range(8)]

    def attempt(plan: settings_plan.SettingsPlan) -> bool:
        try:
            keep(layout, plan)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(attempt, plans))
    kept = kept_settings.load(layout)
    assert sum(outcomes) == 1 and kept is not None
    assert dict(kept.values) == dict(plans[outcomes.index(True)].values)


def test_a_change_from_an_older_look_is_refused(tmp_path: Path) -> None:
    kept = started(tmp_path, SHELL)
    plan = plan_settings(Layout(tmp_path), {})
    kept_settings.save(Layout(tmp_path), {"PAVO_AUTH": "token"}, expected=kept.revision)
    with pytest.raises(Conflict):
        kept_settings.save(Layout(tmp_path), {}, expected=kept.revision)
    with pytest.raises(Conflict):
        keep(Layout(tmp_path), plan)


@pytest.mark.parametrize("damage", ["no secrets", "no JSON", "another format", "empty"])
def test_what_cannot_be_read_is_never_replaced_by_the_shell(tmp_path: Path, damage: str) -> None:
    started(tmp_path, SHELL)
    place = tmp_path / "settings.json"
    if damage == "no secrets":
        (tmp_path / "settings-secrets.1.json").unlink()
    else:
        raw = json.loads(place.read_text())
        place.write_text({"no JSON": "{", "another format": json.dumps({**raw, "format": 2}), "empty": ""}[damage])
    for use in (
        lambda: plan_settings(Layout(tmp_path), {"PAVO_AUTH": "dev"}),
        lambda: with_kept_settings(Layout(tmp_path), {}),
        lambda: kept_or_adopted(Layout(tmp_path)),
    ):
        with pytest.raises(ConfigurationError) as wrong:
            use()
        assert "settings.json" in wrong.value.detail


def test_a_directory_from_before_says_that_it_takes_the_shells(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    plan = plan_settings(Layout(tmp_path), {})
    assert plan.older and "PAVO_AUTH" in "".join(plan.changes())
    with pytest.raises(NotFound):
        kept_or_adopted(Layout(tmp_path))


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({"PAVO_AUTH": "token"}, {"PAVO_AUTH": "dev"}, ["PAVO_AUTH"]),
        ({"PAVO_AUTH": "token"}, {}, ["PAVO_AUTH"]),
        ({}, {"PAVO_HOST": "0.0.0.0"}, ["PAVO_HOST"]),
        ({"PAVO_HOST": "10.0.0.1"}, {"PAVO_HOST": "::"}, ["PAVO_HOST"]),
        ({"PAVO_PUBLIC_HOSTS": "a.example"}, {}, ["PAVO_PUBLIC_HOSTS"]),
        ({CODEC_KEY: KEYS[0]}, {}, [CODEC_KEY]),
        ({CODEC_KEY: KEYS[0]}, {CODEC_KEY: KEYS[1]}, ["A former key"]),
        ({CODEC_KEY: KEYS[0]}, {CODEC_KEY: KEYS[1], FORMER_KEYS: KEYS[0]}, []),
        ({}, {"PAVO_AUTH": "token", CODEC_KEY: KEYS[0], "PAVO_HOST": "localhost"}, []),
        ({"PAVO_HOST": "0.0.0.0"}, {"PAVO_HOST": "127.0.0.1"}, []),
    ],
)
def test_what_opens_or_blinds_is_known(before: dict[str, str], after: dict[str, str], names: list[str]) -> None:
    found = setting_rules.dangers(before, after)
    assert len(found) == len(names) and all(line.startswith(name) for line, name in zip(found, names, strict=True))


def test_a_new_encryption_key_keeps_the_former_ones_for_reading() -> None:
    kept = KeptSettings(1, "", {CODEC_KEY: KEYS[0]})
    second = changed(kept, {CODEC_KEY: KEYS[1]})
    assert second == {CODEC_KEY: KEYS[1], FORMER_KEYS: KEYS[0]}
    third = changed(KeptSettings(2, "", second), {CODEC_KEY: KEYS[2]})
    assert third == {CODEC_KEY: KEYS[2], FORMER_KEYS: f"{KEYS[1]},{KEYS[0]}"}
    assert changed(KeptSettings(3, "", third), {CODEC_KEY: KEYS[0]})[FORMER_KEYS] == f"{KEYS[2]},{KEYS[1]}"
    assert setting_rules.dangers(kept.values, third) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"DATABASE_URL": "x"}, "DATABASE_URL"),
        ({"TEMPORAL_API_KEY": "x"}, "TEMPORAL_API_KEY"),
        ({"PAVO_PORT": "1"}, "PAVO_PORT"),
        ({"LD_PRELOAD": "x"}, "LD_PRELOAD"),
        ({"not a name": "x"}, "NAME"),
        ({"A": "two\nlines"}, "A"),
        ({"A": ""}, "A"),
        ({"A": "\0"}, "A"),
        ({"PAVO_WORKER_TASK": "5"}, "PAVO_WORKER_TASK"),
        ({"FOO": "1"}, "FOO"),
        ({"PAVO_AGENT_ENVIRONMENT": "BAR", "FOO": "1"}, "FOO"),
        ({"PAVO_AUTH": "none"}, "PAVO_AUTH"),
        ({"PAVO_HOST": "0.0.0.0"}, "PAVO_HOST"),
        ({CODEC_KEY: "short"}, CODEC_KEY),
        ({CODEC_KEY: KEYS[0], FORMER_KEYS: f"{KEYS[1]},short"}, FORMER_KEYS),
        ({"PAVO_TEMPORAL_CODEC_TOKEN": "short"}, "PAVO_TEMPORAL_CODEC_TOKEN"),
    ],
)
def test_what_cannot_work_is_refused_with_its_field(given: dict[str, str], field: str) -> None:
    with pytest.raises((InvalidInput, ConfigurationError)) as wrong:
        changed(KeptSettings(1, "", {}), given)
    assert isinstance(wrong.value, PavoError) and wrong.value.field == field and wrong.value.remedy


def test_a_misspelt_name_gets_those_that_are_like_it() -> None:
    with pytest.raises(InvalidInput) as wrong:
        changed(KeptSettings(1, "", {}), {"PAVO_WORKER_TASK": "5"})
    assert "Did you mean PAVO_WORKER_TASKS" in (wrong.value.remedy or "")
    with pytest.raises(InvalidInput) as wrong:
        changed(KeptSettings(1, "", {"PAVO_AGENT_ENVIRONMENT": "BAR"}), {"FOO": "1"})
    assert wrong.value.remedy == "For agents: pavo deploy set PAVO_AGENT_ENVIRONMENT=BAR,FOO FOO=…"


@pytest.mark.parametrize("words", [["deploy", "start", "--target", "embedded", "--dry-run"], ["up"]], ids=" ".join)
def test_a_first_start_with_a_misspelt_name_is_refused_before_anything_changes(
    tmp_path: Path, words: list[str]
) -> None:
    """PAVO_AUHT=token started a deployment that was open, and said nothing."""
    root = tmp_path / "data"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAVO_")}
    shell = {**inherited, "PAVO_DATA_DIR": str(root), "PAVO_AUHT": "token", "PAVO_TEMPORAL_CODECKEY": "abc"}
    done = command.pavo(words, shell)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2 and not root.exists()
    assert "PAVO_AUHT, PAVO_TEMPORAL_CODECKEY" in said
    assert "Did you mean PAVO_AUTH" in said and "PAVO_TEMPORAL_CODEC_KEY" in said and "abc" not in said


def test_where_settings_are_kept_the_plan_names_what_no_part_reads(tmp_path: Path) -> None:
    started(tmp_path, SHELL)
    plan = plan_settings(Layout(tmp_path), {"PAVO_AUHT": "dev", "PAVO_DATA_DIR": "/x"})
    assert plan.public()["unread"] == ["PAVO_AUHT"]
    assert [line for line in plan.notes() if "PAVO_AUHT" in line and "Did you mean PAVO_AUTH" in line]


def test_what_command_line_agents_tests_and_clusters_are_told_is_no_mistake(tmp_path: Path) -> None:
    told = {
        **dict.fromkeys((*setting_rules.STACKS_OWN, *config.variables(), "PAVO_TEST_STORES"), "1"),
        **{setting_rules.FOR_AGENTS: "PAVO_OF_OURS", "PAVO_OF_OURS": "1", "PAVO_EMPTY": "", "OTHER": "1"},
        **{
            "PAVO_API_SERVICE_HOST": "10.0.0.1",
            "PAVO_API_SERVICE_PORT_HTTP": "8000",
            "PAVO_API_PORT": "tcp://10.0.0.1:8000",
        },
        "PAVO_API_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    assert setting_rules.unread(told) == ()
    assert setting_rules.unread({"PAVO_OF_OURS": "1"}, {setting_rules.FOR_AGENTS: "PAVO_OF_OURS"}) == ()
    assert setting_rules.unread({"PAVO_API_PORT": "8000", "PAVO_OF_OURS": "1"}) == ("PAVO_API_PORT", "PAVO_OF_OURS")
    with pytest.raises(InvalidInput) as wrong:
        plan_settings(Layout(tmp_path), {"PAVO_OF_OURS": "1"})
    assert f"{setting_rules.FOR_AGENTS}=PAVO_OF_OURS" in (wrong.value.remedy or "")


def test_what_parts_and_agents_read_is_taken() -> None:
    given = {"PAVO_AGENT_ENVIRONMENT": "FOO", "FOO": "1", "OTEL_TRACES_SAMPLER": "always_on", "https_proxy": "http://a"}
    assert changed(KeptSettings(1, "", {"OLD": "1"}), given) == {"OLD": "1", **given}, "what was kept before stays"


def test_every_variable_of_the_settings_is_the_stacks_or_can_be_kept() -> None:
    prefixes = (*setting_rules.KEPT_PREFIXES, *setting_rules.FOREIGN_PREFIXES)
    assert all(name.startswith(prefixes) for name in config.variables())
    everything: dict[str, Any] = dict.fromkeys(config.variables(), "1")
    assert {"PAVO_AUTH", "PAVO_HOST", CODEC_KEY, FORMER_KEYS, "PAVO_WORKER_TASKS"} <= set(
        setting_rules.of_shell(everything)
    )
    assert not {"DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "PAVO_PORT"} & set(setting_rules.of_shell(everything))


def test_settings_of_another_environment_ask_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config.load({})
    for name in config.variables():
        monkeypatch.setenv(name, "nonsense")
    assert config.load({}) == wanted
    assert config.load({"TEMPORAL_TARGET": "a:1", "PAVO_AUTH": "token"}).temporal.address == "a:1"
    with pytest.raises(ConfigurationError) as wrong:
        config.load({"PAVO_WORKER_TASKS": "many"})
    assert wrong.value.field == "PAVO_WORKER_TASKS"
    assert os.environ["PAVO_AUTH"] == "nonsense"

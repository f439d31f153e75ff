"""`pavo token`, `pavo org` and `pavo corpus`, run as users run them, against a real database."""

import io
import json
import os
import subprocess
import sys
import uuid
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from pavo.cli.admin.corpus import corpus_app
from pavo.cli.admin.organisations import org_app
from pavo.cli.admin.tokens import token_app
from pavo.cli.admin.webhooks import webhook_app
from pavo.errors import ConfigurationError, InvalidInput, LastOwner, NotFound, TooLarge
from pavo.kit.sql import Database


@pytest.fixture
def url(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commands find the test's database where an operator's would be."""
    found = database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setitem(os.environ, "DATABASE_URL", found)
    monkeypatch.setitem(os.environ, "COLUMNS", "200")
    return found


async def run(*words: str) -> str:
    """Run `pavo WORDS` and return its standard output."""
    app = App(name="pavo", result_action="return_value")
    for group in (token_app, org_app, corpus_app, webhook_app):
        app.command(group)
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        await app.run_async(list(words), exit_on_error=False, print_error=False)
    return out.getvalue()


async def run_json(*words: str) -> Any:
    return json.loads(await run(*words, "-o", "json"))


def somebody() -> str:
    return f"{uuid.uuid4().hex}@example.com"


@pytest.mark.usefixtures("url")
async def test_the_life_of_a_token() -> None:
    email = somebody()
    created = await run_json("token", "create", email, "--name", "laptop", "--expires", "30d")
    assert created["token"].startswith(created["prefix"])
    assert created["state"] == "active"
    (listed,) = (await run_json("token", "list", "--email", email))["tokens"]
    assert created["token"] not in json.dumps(listed)
    assert listed["expires_at"].endswith("Z")
    table = await run("token", "list", "--email", email)
    assert f"{created['prefix']}…" in table
    assert "revoked" in await run("token", "revoke", f"{created['prefix']}…")
    assert (await run_json("token", "list", "--email", email))["tokens"][0]["state"] == "revoked"


@pytest.mark.usefixtures("url")
async def test_the_token_alone_goes_to_standard_output() -> None:
    shown = await run("token", "create", somebody())
    assert shown.startswith("pavo_")
    assert shown.count("\n") == 1


@pytest.mark.usefixtures("url")
async def test_inviting() -> None:
    ada, bob = somebody(), somebody()
    await run("token", "create", ada)
    invited = await run_json("org", "invite", bob, "--org", ada)
    assert invited["joined"] is False
    await run("token", "create", bob)
    found = {one["name"]: one for one in (await run_json("org", "list"))["organisations"]}
    assert found[ada]["members"] == [ada, bob]
    assert ada in await run("org", "list")
    with pytest.raises(NotFound):
        await run("org", "invite", bob, "--org", somebody())


@pytest.mark.usefixtures("url")
async def test_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PAVO_AUTH", "token")
    owner, note = somebody(), tmp_path / "note.md"
    await run("token", "create", owner)
    assert (await run_json("corpus", "list", "--org", owner))["documents"] == []
    note.write_text("# Quokkas\n\nA quokka smiles.")
    assert (await run_json("corpus", "add", str(note), "--org", owner))["files"] == {str(note): True}
    assert "was there already" in await run("corpus", "add", str(note), "--org", owner)
    assert [entry["title"] for entry in (await run_json("corpus", "list", "--org", owner))["documents"]] == ["Quokkas"]
    (hit,) = (await run_json("corpus", "search", "smiling quokkas", "--org", owner))["hits"]
    assert hit["title"] == "Quokkas"
    assert "Nothing matches" in await run("corpus", "search", "wombat", "--org", owner)
    assert "Quokkas" in await run("corpus", "list", "--org", owner)


@pytest.mark.usefixtures("url")
async def test_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer, customer = somebody(), somebody()
    await run("token", "create", newcomer)
    assert len((await run_json("corpus", "list", "--org", newcomer))["documents"]) >= 6
    monkeypatch.setitem(os.environ, "PAVO_AUTH", "token")
    await run("token", "create", customer)
    assert (await run_json("corpus", "list", "--org", customer))["documents"] == []
    assert (await run_json("corpus", "sample", "--org", customer))["added"] >= 6
    assert "nothing was added" in await run("corpus", "sample", "--org", customer)


@pytest.mark.usefixtures("url")
async def test_files_that_are_no_documents(tmp_path: Path) -> None:
    for name, content, kind in (("binary.pdf", b"%PDF\xff", InvalidInput), ("big.txt", b"x" * 1_000_001, TooLarge)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(kind, match=name):
            await run("corpus", "add", str(path))
    for path in (tmp_path / "missing.md", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            await run("corpus", "add", str(path))
    with pytest.raises(InvalidInput, match="No file"):
        await run("corpus", "add")


@pytest.mark.usefixtures("url")
async def test_token_mode_needs_the_organisation_named(monkeypatch: pytest.MonkeyPatch) -> None:
    await run("token", "create", somebody())
    await run("token", "create", somebody())
    monkeypatch.setitem(os.environ, "PAVO_AUTH", "token")
    with pytest.raises(InvalidInput) as refused:
        await run("corpus", "list")
    assert refused.value.field == "--org"


@pytest.mark.usefixtures("url")
async def test_a_stack_that_is_named_but_does_not_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No stack runs") as refused:
        await run("org", "list", "--data-dir", str(tmp_path))
    assert refused.value.field == "--data-dir"


def test_the_command_line_needs_no_web_server() -> None:
    groups = ", ".join(f"pavo.cli.admin.{group}" for group in ("corpus", "organisations", "tokens"))
    code = f"import sys, {groups}; print(any(m in sys.modules for m in ('fastapi', 'joserfc', 'uvicorn')))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.usefixtures("url")
async def test_the_life_of_a_webhook() -> None:
    ada, url = somebody(), f"https://example.com/{uuid.uuid4()}"
    await run("token", "create", ada)
    secret = await run("webhook", "add", url, "--event", "task.waiting", "--org", ada)
    assert secret.startswith("whsec_") and secret.count("\n") == 1, "the secret alone goes to standard output"
    (listed,) = (await run_json("webhook", "list", "--org", ada))["webhooks"]
    assert listed["url"] == url and listed["events"] == ["task.waiting"] and "secret" not in listed
    assert "task.waiting" in await run("webhook", "show", listed["id"][:13], "--org", ada)
    rotated = await run_json("webhook", "rotate", url, "--overlap", "12h", "--org", ada)
    assert rotated["secret"].startswith("whsec_") and rotated["secrets"] == 2 and rotated["secret"] != secret.strip()
    assert "Nothing was sent" in await run("webhook", "deliveries", url, "--org", ada)
    assert "is enabled" in await run("webhook", "enable", url, "--org", ada)
    assert "removed" in await run("webhook", "remove", url, "--org", ada)
    with pytest.raises(NotFound) as gone:
        await run("webhook", "show", url, "--org", ada)
    assert gone.value.remedy == "See: pavo webhook list"


@pytest.mark.usefixtures("url")
async def test_a_webhook_that_may_not_be() -> None:
    ada = somebody()
    await run("token", "create", ada)
    for url in ("http://example.com/", "https://127.0.0.1/", "example.com"):
        with pytest.raises(InvalidInput) as refused:
            await run("webhook", "add", url, "--org", ada)
        assert refused.value.field == "url" and refused.value.remedy


@pytest.mark.usefixtures("url")
async def test_members_and_roles() -> None:
    ada, bob, name = somebody(), somebody(), f"Engines {uuid.uuid4()}"
    made = await run_json("org", "create", name, ada)
    await run("token", "create", bob)
    assert (await run_json("org", "invite", bob, "--org", made["id"]))["joined"] is True
    members = (await run_json("org", "members", "--org", made["id"]))["members"]
    assert [(found["email"], found["role"]) for found in members] == [(ada, "owner"), (bob, "member")]
    with pytest.raises(LastOwner):
        await run("org", "remove", ada, "--org", made["id"])
    assert "owner" in await run("org", "role", bob, "owner", "--org", made["id"])
    assert "no member" in await run("org", "remove", ada, "--org", made["id"])
    with pytest.raises(NotFound):
        await run("org", "role", ada, "owner", "--org", made["id"])


@pytest.mark.usefixtures("url")
async def test_a_document_is_shown_and_removed(tmp_path: Path) -> None:
    ada, file = somebody(), tmp_path / "notes.md"
    await run("token", "create", ada)
    file.write_text("# Notes\nZanzibar")
    await run("corpus", "add", str(file), "--org", ada)
    listed = (await run_json("corpus", "list", "--org", ada))["documents"]
    (found,) = [each for each in listed if each["title"] == "Notes"]
    assert "Zanzibar" in await run("corpus", "show", found["id"], "--org", ada)
    assert "1 removed" in await run("corpus", "remove", found["id"], "--org", ada)
    with pytest.raises(NotFound):
        await run("corpus", "show", found["id"], "--org", ada)

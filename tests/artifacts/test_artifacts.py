"""Agents keep files: recorded once, under the lease, for whoever may see the task."""

import hashlib
import os
import uuid

import pytest

from tests.artifacts.keeping import AGENTS, Kept, Own
from tests.driving import types, until

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("agent", AGENTS)
async def test_kept_listed_and_downloaded(kept: Kept, agent: str) -> None:
    (kept.folder / "fail").touch()
    puts = (
        {"name": "tables/churn ✓.csv", "data": "a,b\n1,2\n"},
        {"name": "large.bin", "data": "0123456789", "times": 150_000},
        {"name": "file.dat", "path": str(kept.folder / "file")},
        {"name": "again.txt", "data": "a,b\n1,2\n", "type": "text/plain"},
    )
    await kept.start(agent, *puts)
    assert await kept.done() == [
        "again.txt text/plain 8 b'a,b\\n1' b',2\\n'",
        "file.dat application/octet-stream 800000 b'by pa' b'th '",
        "large.bin application/octet-stream 1500000 b'01234' b'789'",
        "tables/churn ✓.csv text/csv 8 b'a,b\\n1' b',2\\n'",
    ]
    events = await kept.tasks.events(kept.id)
    assert types(events).count("artifact_added") == 4 and "retry" in types(events), "recorded once, though put twice"
    listed = {each["name"]: each for each in await kept.listed()}
    large = listed["large.bin"]
    assert large["sha256"] == hashlib.sha256(b"0123456789" * 150_000).hexdigest()
    assert (await kept.get(large["id"])).content == b"0123456789" * 150_000
    answer = await kept.get("tables/churn ✓.csv")
    assert answer.text == "a,b\n1,2\n" and answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"churn _.csv\"; filename*=UTF-8''churn%20%E2%9C%93.csv"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert kept.content().count(listed["again.txt"]["sha256"]) == 1, "the same content lies there once"
    plan = next(each for each in await kept.tasks.documents(kept.id) if each["kind"] == "PLAN")
    assert "No artifacts can be had here" in str(plan), "no lease, no files"


@pytest.mark.parametrize("agent", AGENTS)
async def test_what_cannot_be_kept_is_refused(kept: Kept, agent: str) -> None:
    puts = [{"name": name, "data": "x"} for name in ("../up", "/abs", "a//b", "a\\b", "tab\t", "results/x", "é" * 300)]
    puts += [{"name": "type", "data": "x", "type": "text/html; <b>"}, {"name": "odd", "data": 7}]
    puts += [{"name": "large", "data": "x" * 1000, "times": 5_001}, {"name": "well", "data": "x"}]
    puts += [{"name": "folder", "open": str(kept.folder)}, {"name": "missing", "open": str(kept.folder / "missing")}]
    await kept.start(agent, *puts)
    report = "\n".join(await kept.done())
    assert report.count("The artifact's name:") == 7
    for told in (
        "'text/html; <b>' is none",
        "int is neither bytes, text nor a path",
        "A task may keep 5,000,000 bytes",
        "is no file",
        "No such file",
    ):
        assert told in report, (told, report)
    assert [each["name"] for each in await kept.listed()] == ["well"]


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_worker_killed_after_a_put_leaves_it_recorded_once(own: Own, kept: Kept, agent: str) -> None:
    (kept.folder / "hold").touch()
    await kept.start(agent, {"name": "a.txt", "data": "first"}, {"name": "b.txt", "data": "second"})
    await kept.told()
    own.worker.kill()
    (kept.folder / "hold").unlink()
    own.worker = await own.parts.start("worker", **own.environment)
    assert [line.split()[0] for line in await kept.done()] == ["a.txt", "b.txt"]
    assert types(await kept.tasks.events(kept.id)).count("artifact_added") == 2


async def test_other_content_replaces_what_had_the_name(kept: Kept) -> None:
    await kept.start("keeping", {"name": "a.txt", "data": "first"}, {"name": "a.txt", "data": "second"})
    await kept.done()
    [item] = await kept.listed()
    added = [each for each in await kept.tasks.events(kept.id) if each["type"] == "artifact_added"]
    assert (await kept.get("a.txt")).text == "second" and item["id"] == added[1]["artifact_id"]
    assert (await kept.get(added[0]["artifact_id"])).status_code == 404


async def test_parts_and_conditions(kept: Kept) -> None:
    await kept.start("keeping", {"name": "a.txt", "data": "0123456789"}, {"name": "empty", "data": ""})
    await kept.done()
    whole = await kept.get("a.txt")
    etag = whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["content-length"] == "10"
    for asked, told, content in (
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=5-5000", "bytes 5-9/10", "56789"),
    ):
        answer = await kept.get("a.txt", Range=asked)
        assert (answer.status_code, answer.headers["content-range"], answer.text) == (206, told, content)
    for asked in ("bytes=1-2,4-5", "lines=1-2", "bytes=4-2", "bytes=-", "bytes=" + "9" * 50 + "-"):
        assert (await kept.get("a.txt", Range=asked)).text == "0123456789", asked
    beyond = await kept.get("a.txt", Range="bytes=10-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    assert beyond.headers["content-type"] == "application/problem+json"
    assert (await kept.get("a.txt", Range="bytes=2-4", If_Range='"other"')).status_code == 200
    assert (await kept.get("a.txt", Range="bytes=2-4", If_Range=etag)).status_code == 206
    same = await kept.get("a.txt", If_None_Match=f'"x", {etag}')
    assert (same.status_code, same.content) == (304, b"")
    empty = await kept.get("empty")
    assert (empty.status_code, empty.content) == (200, b"")
    head = await kept.tasks.client.head(f"/api/tasks/{kept.id}/artifacts/a.txt")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    for unknown in ("b.txt", str(uuid.uuid4()), "..%2Fa.txt", "x" * 5000):
        assert (await kept.get(unknown)).status_code == 404, unknown


async def test_pages(kept: Kept) -> None:
    await kept.start("keeping", *({"name": f"{number}.txt", "data": "x"} for number in range(5)))
    await kept.done()
    found, cursor = list[str](), ""
    while True:
        query = {"limit": "2", "cursor": cursor}
        page = (await kept.tasks.client.get(f"/api/tasks/{kept.id}/artifacts", params=query)).json()
        found += [each["name"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert found == [f"{number}.txt" for number in range(5)]
    for wrong in ({"limit": "0"}, {"limit": "1001"}, {"cursor": "x" * 5000}):
        assert (await kept.tasks.client.get(f"/api/tasks/{kept.id}/artifacts", params=wrong)).status_code == 422


async def test_strangers_find_nothing(kept: Kept) -> None:
    await kept.start("keeping", {"name": "a.txt", "data": "secret"})
    await kept.done()
    path, stranger = f"/api/tasks/{kept.id}/artifacts", {"X-User-Email": "eve.keeps@example.com"}
    assert (await kept.tasks.client.get(path, headers=stranger)).status_code == 404
    assert (await kept.tasks.client.get(f"/api/tasks/{uuid.uuid4()}/artifacts/a.txt")).status_code == 404


async def test_deleted_with_its_task_but_not_what_another_one_names(own: Own, kept: Kept) -> None:
    shared, alone = os.urandom(8).hex(), os.urandom(8).hex()
    await kept.start("keeping", {"name": "a.txt", "data": shared}, {"name": "b.txt", "data": alone})
    await kept.done()
    other = Kept(own, kept.folder)
    await other.start("keeping", {"name": "c.txt", "data": shared})
    await other.done()
    hashes = {text: hashlib.sha256(text.encode()).hexdigest() for text in (shared, alone)}
    assert set(hashes.values()) <= set(kept.content())
    assert (await kept.tasks.client.delete(f"/api/tasks/{kept.id}")).status_code == 204
    assert (await kept.get("a.txt")).status_code == 404

    async def gone() -> bool:
        return hashes[alone] not in kept.content()

    await until(gone, what="the removal of content that nothing names")
    assert hashes[shared] in kept.content() and (await other.get("c.txt")).text == shared

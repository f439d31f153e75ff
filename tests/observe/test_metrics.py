"""/metrics of a real API and a real worker after real tasks."""

import asyncio
import contextlib
import signal
import socket
from typing import Any

import httpx2
import pytest

from pavo import config
from pavo.errors import ConfigurationError
from pavo.observe import listener, metrics
from pavo.observe.listener import listening, split_address
from pavo.observe.meters import Meter
from pavo.observe.scrape import Scrape
from tests.driving import SLOW, Tasks, until
from tests.observe.conftest import Observed
from tests.observe.reading import names, page, read
from tests.parts import free_port

ESTABLISHED = 1
"""Of the states of tcp(7)."""
SOME = {"steps": 7, "step_seconds": 0.05}


async def test_a_task_leaves_its_marks(observed: Observed) -> None:
    api, worker = read(observed.api), read(observed.worker)
    task_id = await observed.tasks.started(SOME, auto_accept=True)
    events = [event async for event in observed.tasks.stream(task_id)]
    assert events[-1][1]["stage"] == "DONE"

    def risen(name: str, before: Any, address: str) -> float:
        return read(address)[name] - before.get(name, 0)

    assert risen("pavo_steps_recorded_total", worker, observed.worker) == 7
    assert risen("pavo_step_seconds_count", worker, observed.worker) == 7
    assert 1 <= risen("pavo_step_commit_seconds_count", worker, observed.worker) <= 7
    assert risen("pavo_events_published_total", worker, observed.worker) >= 7
    assert risen("pavo_stream_events_total", api, observed.api) == len(events)
    assert risen("pavo_stream_lag_seconds_count", api, observed.api) >= 1
    created = 'pavo_http_requests_total{method="POST",route="/api/tasks",status="201"}'
    assert risen(created, api, observed.api) == 1
    watched = 'pavo_http_request_seconds_count{method="GET",route="/api/tasks/{task_id}/stream"}'
    assert risen(watched, api, observed.api) == 1

    async def shown() -> bool:
        return (
            read(observed.api)['pavo_runs{kind="task",stage="DONE"}'] - api['pavo_runs{kind="task",stage="DONE"}'] == 1
        )

    await until(shown, what="the finished task among the tasks by stage")
    both = read(observed.api), read(observed.worker)
    assert all(found["pavo_http_requests_in_flight"] == 1 for found in both[:1]), "the scrape itself"
    assert both[1]["pavo_attempts_running"] == 0


async def test_the_sdk_has_its_own_names(observed: Observed) -> None:
    """Temporal's dashboards for its SDKs ask for these: no suffix of units or totals."""
    await observed.tasks.wait(await observed.tasks.started(SOME, auto_accept=True), "DONE")
    worker, api = page(observed.worker), page(observed.api)
    for name in ("temporal_workflow_completed", "temporal_request", "temporal_worker_task_slots_available"):
        assert f"\n{name}{{" in worker, name
    assert "# TYPE temporal_workflow_endtoend_latency histogram" in worker
    assert 'temporal_request{namespace="default",operation="StartWorkflowExecution"' in api


async def test_viewers_and_running_attempts(observed: Observed) -> None:
    task_id = await observed.tasks.executing(SLOW)
    async with observed.tasks.client.stream("GET", f"/api/tasks/{task_id}/stream") as answer:
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(":")
        assert read(observed.api)["pavo_stream_viewers"] >= 1
        assert read(observed.worker)["pavo_attempts_running"] >= 1
    await observed.tasks.post(f"{task_id}/stop")

    async def gone() -> bool:
        return read(observed.api)["pavo_stream_viewers"] == 0 and read(observed.worker)["pavo_attempts_running"] == 0

    await until(gone, what="no viewers and nothing running")


async def test_a_backlog_and_then_a_worker_that_dies(observed: Observed) -> None:
    """What autoscaling looks at while no worker is there; then what a successor counts."""
    queue, ports = f"later-{observed.queue}", [free_port() for _ in range(3)]
    address, _, second = (f"http://127.0.0.1:{port}" for port in ports)
    labels = f'{{task_queue="{queue}",type="workflow"}}'
    await observed.parts.start("api", PAVO_PORT=str(ports[0]), TEMPORAL_TASK_QUEUE=queue)
    async with httpx2.AsyncClient(base_url=address, timeout=30) as client:
        tasks = Tasks(client)
        task_id = await tasks.started(SLOW, auto_accept=True)

        async def waits() -> bool:
            found = read(address)
            backlog, age = (found[f"pavo_task_queue_{name}{labels}"] for name in ("backlog", "backlog_age_seconds"))
            return backlog == 1 and age > 0

        await until(waits, what="a backlog of one")
        assert read(address)[f"pavo_task_queue_pollers{labels}"] == 0
        worker = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_METRICS_ADDRESS": f"127.0.0.1:{ports[1]}"}
        first = await observed.parts.start("worker", **worker)

        async def far_enough() -> bool:
            return (await tasks.get(task_id))["steps"] >= 1

        await until(far_enough, seconds=60, what="a step")
        await observed.parts.start("worker", **worker | {"PAVO_METRICS_ADDRESS": f"127.0.0.1:{ports[2]}"})
        first.kill(signal.SIGKILL)

        async def recovered() -> bool:
            return read(second)['pavo_recoveries_total{died="worker"}'] == 1

        await until(recovered, seconds=60, what="the recovery")
        answer = await client.post(f"/api/tasks/{task_id}/stop")
        assert answer.status_code in (200, 202), answer.text


async def test_strangers_make_no_labels(observed: Observed) -> None:
    async with httpx2.AsyncClient(base_url=observed.api) as client:
        for path in ("/nowhere/1", "/nowhere/2", "/api/nowhere"):
            await client.get(path)
        await client.request("BREW", "/api/tasks")
        await client.get("/healthz", headers={"Host": "evil.example"})
    found = read(observed.api)
    assert not [name for name in found if "nowhere" in name or "BREW" in name]
    assert found['pavo_http_requests_total{method="GET",route="(none)",status="403"}'] >= 1
    assert found['pavo_http_requests_total{method="GET",route="(none)",status="404"}'] >= 3


async def test_the_page_comes_whatever_is_away() -> None:
    async def away() -> None:
        raise OSError("no route")

    async def there() -> None:
        metrics.RUNS.replace({("task", "DONE"): 3})

    scrape = Scrape("api", metrics.OF_API, None, {"redis": away, "postgres": there})
    text = (await scrape.text()).decode()
    assert 'pavo_dependency_up{dependency="redis"} 0.0' in text
    assert 'pavo_dependency_up{dependency="postgres"} 1.0' in text and 'pavo_runs{kind="task",stage="DONE"} 3.0' in text
    metrics.RUNS.replace({})


async def test_answers_of_others_are_kept_for_a_moment() -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    scrape = Scrape("api", (), None, {"postgres": count})
    await asyncio.gather(*(scrape.text() for _ in range(20)))
    assert asked == 1


# The listener


async def test_the_listener_answers_what_it_has_and_nothing_else() -> None:
    async with listening("127.0.0.1:0", Scrape("worker", metrics.OF_WORKER, None)) as url:
        async with httpx2.AsyncClient() as client:
            root = url.removesuffix("/metrics")
            assert "pavo_steps_recorded_total" in (await client.get(url)).text
            assert (await client.head(url)).text == ""
            assert (await client.get(f"{root}/healthz")).text == "ok\n"
            assert (await client.get(f"{root}/else")).status_code == 404
            assert (await client.post(url, content=b"x" * 100_000)).status_code == 405
        reader, writer = await asyncio.open_connection("127.0.0.1", int(root.rpartition(":")[2]))
        writer.write(b"x" * 200_000 + b"\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):  # it left the rest unread
            assert await asyncio.wait_for(reader.read(), 10) == b"", "no head that long is read"
        writer.close()


class Large(Scrape):
    """A page that no kernel takes at once."""

    async def text(self) -> str:
        return "# nothing\n" * 2_000_000


async def test_the_listener_waits_for_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(listener, "READ_SECONDS", 0.3)
    async with listening("127.0.0.1:0", Large("worker", (), None)) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        for asked in (b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /metr"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
            writer.write(asked)
            # It reads nothing; what the other side does shows in the connection itself.
            bare = writer.get_extra_info("socket")

            async def over(bare: Any = bare) -> bool:
                return int.from_bytes(bare.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1), "little") != ESTABLISHED

            await until(over, what="the end of the connection", seconds=10)
            writer.transport.abort()
            assert reader is not None


async def test_connections_to_the_listener_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_CONNECTIONS", 3)
    async with listening("127.0.0.1:0", Scrape("worker", (), None)) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, refused = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 3) == b""
        refused.close()
        for _, writer in kept:
            writer.close()

        async def served() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                async with httpx2.AsyncClient() as client:
                    return (await client.get(url)).status_code == 200
            return False

        await until(served, what="a place")


async def test_processes_of_one_machine_share_the_setting() -> None:
    scrape = Scrape("worker", (), None)
    async with listening("127.0.0.1:0", scrape) as first:
        wanted = first.removeprefix("http://").removesuffix("/metrics")
        async with listening(wanted, scrape) as second:
            ports = [int(url.rpartition(":")[2].partition("/")[0]) for url in (first, second)]
            assert ports[0] < ports[1] <= ports[0] + 100
            async with httpx2.AsyncClient() as client:
                assert (await client.get(second)).status_code == 200


async def test_an_address_of_another_machine_is_explained() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        async with listening("203.0.113.1:9464", Scrape("worker", (), None)):
            pass
    assert wrong.value.field == "PAVO_METRICS_ADDRESS" and "this machine" in (wrong.value.remedy or "")


@pytest.mark.parametrize(
    ("address", "found"), [("127.0.0.1:9464", ("127.0.0.1", 9464)), (":0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))]
)
def test_addresses(address: str, found: tuple[str, int]) -> None:
    assert split_address(address) == found


@pytest.mark.parametrize("address", ["", "9464:", "host", "host:http", "host:99999"])
def test_wrong_addresses_are_explained(address: str) -> None:
    with pytest.raises(ConfigurationError):
        split_address(address)


def test_the_api_serves_it_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from pavo.api import create_app

    def paths() -> set[str]:
        return set(create_app(config.load()).openapi()["paths"])

    assert "/metrics" in paths()
    monkeypatch.setenv("PAVO_METRICS_ADDRESS", "127.0.0.1:0")
    assert "/metrics" not in paths()
    monkeypatch.delenv("PAVO_METRICS_ADDRESS")
    monkeypatch.setenv("PAVO_METRICS", "false")
    assert "/metrics" not in paths()


def test_no_name_is_given_twice() -> None:
    meters = (*metrics.OF_API, *metrics.OF_WORKER, *metrics.OF_GATEWAY)
    shown = {meter.name for meter in meters}
    every = {value.name for value in vars(metrics).values() if isinstance(value, Meter)}
    assert shown == every and len(every) == len({id(m) for m in meters})
    assert names({"a{b}": 1, "c": 2}) == {"a", "c"}

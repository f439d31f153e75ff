"""What every request passes."""

import logging
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from pavo import api
from pavo.config import Settings


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("the password is hunter2")


async def cut(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("half-way")

    return StreamingResponse(events())


def client(**settings: object) -> httpx2.AsyncClient:
    """Of the real application with two more routes; its clients are not opened."""
    app = api.create_app(Settings.model_validate({"http": settings}))
    app.add_api_route("/broken", broken, response_model=None)
    app.add_api_route("/cut", cut, response_model=None)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost")


async def test_a_fault_is_a_problem_that_names_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with client() as browser:
        answer = await browser.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (500, "InternalError")
    assert "hunter2" not in answer.text and "RuntimeError" not in answer.text
    [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert problem["request_id"] in problem["detail"] and problem["request_id"] in line.getMessage()
    assert line.exc_info is not None and "hunter2" in str(line.exc_info[1])


async def test_another_origin_that_is_allowed_can_read_the_fault() -> None:
    allowed = {"auth": "token", "secret_key": "s" * 40, "cors_origins": "https://app.example"}
    async with client(**allowed) as browser:
        answer = await browser.get("/broken", headers={"Origin": "https://app.example"})
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == "https://app.example"


async def test_an_answer_that_has_begun_is_cut_off() -> None:
    async with client() as browser:
        with pytest.raises(RuntimeError, match="half-way"):
            await browser.get("/cut")


def test_what_refuses_is_within_what_lets_other_origins_read() -> None:
    found = [str(middleware.cls.__name__) for middleware in api.create_app(Settings()).user_middleware]
    assert found == ["Observed", "BrowserGuard", "Failsafe", "Admission", "BodyLimit"]

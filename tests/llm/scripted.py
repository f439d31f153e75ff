"""The scripted server of models (`scripted_server`) as tests use it."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pavo.kit.processes import child_dies_with_us
from tests.parts import free_port

PROGRAM = Path(__file__).with_name("scripted_server.py")


class ModelServer:
    """Its process; it may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.port), str(self.folder)],
            stdout=subprocess.PIPE,
            preexec_fn=child_dies_with_us(signal.SIGKILL),
        )
        assert self.process.stdout is not None
        with self.process.stdout as said:
            assert said.readline() == b"READY\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def script(self, *answers: dict[str, Any], key: str | None = None) -> "ModelScript":
        """What a test wants answered, under a name of its own."""
        script = ModelScript(self, f"test-{uuid.uuid4().hex}")
        script.tell(*answers, key=key)
        return script


class ModelScript:
    """The script of one test."""

    def __init__(self, server: ModelServer, name: str) -> None:
        self.server, self.name = server, name

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/scripts/{self.name}"

    def tell(self, *answers: dict[str, Any], key: str | None = None) -> None:
        sent = httpx2.put(self._url, content=json.dumps({"answers": answers, "key": key}))
        assert sent.status_code == 200, sent.text

    def release(self) -> None:
        """Have answers that are held go on."""
        assert httpx2.post(f"{self._url}/release").status_code == 200

    def told(self) -> dict[str, Any]:
        """What it was asked."""
        return httpx2.get(self._url).json()

    def calls(self) -> list[int]:
        """How often each request was made, in the order in which they came first."""
        return list(self.told()["calls"].values())

    def request(self, *texts: str, **more: Any) -> dict[str, Any]:
        """A request of this test: what was said in turn, beginning with the user."""
        roles = ("user", "assistant")
        messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
        return {"model": "scripted", "messages": messages, "user": self.name, **more}


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """The scripted server."""
    server = ModelServer(tmp_path_factory.mktemp("models"))
    server.start()
    yield server
    server.kill()

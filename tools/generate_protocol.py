"""Writes the code of the remote agents' protocol, from `proto/`, into `src/pavo/protocol/`; --check compares."""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "proto" / "pavo" / "fleet" / "v1" / "fleet.proto"
TARGET = ROOT / "src" / "pavo" / "protocol"
NAMES = ("fleet_pb2.py", "fleet_pb2.pyi", "fleet_pb2_grpc.py")


def generate(folder: Path) -> None:
    """Write the files into a folder."""
    place = f"-I{SOURCE.parent}"
    outputs = [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    if protoc.main(["protoc", place, *outputs, str(SOURCE)]):
        raise SystemExit("protoc failed")
    stub = folder / "fleet_pb2_grpc.py"
    stub.write_text(stub.read_text().replace("import fleet_pb2 as", "from pavo.protocol import fleet_pb2 as"))


def main() -> None:
    """Exit 1 where --check finds that the committed code is not what would be generated."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        generate(made)
        stale = [each for each in NAMES if (made / each).read_text() != _text(TARGET / each)]
        if "--check" not in sys.argv:
            for each in NAMES:
                (TARGET / each).write_text((made / each).read_text())
        elif stale:
            raise SystemExit(f"Stale: {', '.join(stale)}. Run: python tools/generate_protocol.py")
    print(f"protocol: {len(stale)} stale of {len(NAMES)} files")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()

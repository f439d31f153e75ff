"""Reading a page of metrics as Prometheus does, names as they stand there."""

import re
import urllib.request
from collections.abc import Mapping

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def page(address: str) -> str:
    """The text of /metrics."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def read(address: str) -> Mapping[str, float]:
    """The samples that this process shows now: value by `name{label="value"}`, labels in the order of their names."""
    return samples(page(address))


def samples(text: str) -> Mapping[str, float]:
    """The same of a page that was fetched."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        matched = _SAMPLE.match(line)
        assert matched, line
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(_LABEL.findall(matched[2] or "")))
        name = matched[1] + (f"{{{labels}}}" if labels else "")
        assert name not in found, f"{name} stands there twice"
        found[name] = float(matched[3])
    return found


def names(*pages: Mapping[str, float]) -> set[str]:
    """The names of these samples, without labels."""
    return {sample.partition("{")[0] for page in pages for sample in page}

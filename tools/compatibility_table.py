"""Writes the version matrix as a document: `python tools/compatibility_table.py > docs/compatibility.md`."""

import sys

from pavo.deploy.model.compatibility import Matrix, VersionVerdict, matrix

WORDS = {
    VersionVerdict.GOOD: "good",
    VersionVerdict.UNKNOWN: "not known to be good: warns",
    VersionVerdict.BAD: "**refused**",
}
HEAD = """# Compatibility

Which versions go together. This file is written by `tools/compatibility_table.py` from
`src/pavo/deploy/model/compatibility.toml`, which `pavo deploy` reads and `pavo deploy versions` prints; a test compares
the two.

A pair that is known good goes on; an unknown one warns and goes on; one that is known bad or out of support stops with
the remedy, unless `--force-version` says otherwise, which the state then shows.
"""


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def sources(named: dict[str, str]) -> str:
    """Where the rows come from."""
    return "Sources: " + "; ".join(f"{name}: {where}" for name, where in named.items()) + "."


def text(known: Matrix) -> str:
    """The whole document."""
    pins = known.pins
    temporal = [
        (f"from {r.tag}", r.schema_version, r.visibility_schema, WORDS[r.status], r.why) for r in known.temporal
    ]
    parts = [
        HEAD,
        "## Temporal's server and its PostgreSQL schemas\n",
        "A schema belongs to a server's tag, not to its minor: 1.24 and 1.27 raised theirs in a patch. A row holds\n"
        "until the next one's tag.\n",
        table(("server", "default", "visibility", "", "why"), temporal),
        f"\n{sources(known.temporal_sources)}\n",
        "An upgrade passes every minor by one patch of it: "
        + ", ".join(f"{minor} by {patch}" for minor, patch in known.path.items())
        + ".\n",
        "## PostgreSQL\n",
        table(("major", "", "why"), [(row.major, WORDS[row.status], row.why) for row in known.postgres]),
        f"\n{sources(known.postgres_sources)}\n",
        "## Temporal's Python SDK\n",
        table(("minor", ""), [(row.minor, WORDS[row.status]) for row in known.python_sdk]),
        f"\n{sources(known.python_sdk_sources)}\n",
        "## Pavo's own schema\n",
        table(("Pavo", "revision"), [(row.pavo, row.revision) for row in known.pavo_schema]),
        "\n`pavo migrate` and `pavo deploy upgrade` bring it up to date.\n",
        "## What was really tested here\n",
        "Everything above that is not in this table is documented only.\n",
        table(
            ("Temporal", "PostgreSQL", "Python SDK", "when", "by"),
            [(t.temporal, t.postgres, t.python_sdk, t.when, f"`{t.by}`") for t in known.tested],
        ),
        f"\nTaken without options: Temporal {pins.temporal}, its UI {pins.temporal_ui}, Python SDK {pins.python_sdk},\n"
        f"PostgreSQL {pins.postgres} (the wheel's).",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(text(matrix()) + "\n")

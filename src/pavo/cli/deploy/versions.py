"""`pavo deploy versions`: what is known of versions that go together."""

from rich.text import Text

from pavo.cli.output import Output, Printer, console, say
from pavo.cli.table import table
from pavo.deploy.model.compatibility import Matrix, matrix


def versions(*, output: Output = "text") -> int:
    """Show which versions go together, and what was really tested."""
    known = matrix()
    Printer(output).show(known.model_dump(), lambda: _print_versions(known))
    return 0


def _print_versions(known: Matrix) -> None:
    rows = [(f"{r.tag} …", f"{r.schema_version} / {r.visibility_schema}", r.status, r.why) for r in known.temporal]
    table(("Temporal", "schema / visibility", "is", "because"), rows)
    say("")
    table(("PostgreSQL", "is", "because"), [(row.major, row.status, row.why) for row in known.postgres])
    say("")
    table(("Python SDK", "is"), [(row.minor, row.status) for row in known.python_sdk])
    say("")
    revisions: dict[str, list[str]] = {}
    for row in known.pavo_schema:
        revisions.setdefault(row.pavo, []).append(row.revision)
    ranges = {pavo: found[:1] + found[1:][-1:] for pavo, found in revisions.items()}
    table(("Pavo", "schema"), [(pavo, " … ".join(found)) for pavo, found in ranges.items()])
    console().print(Text.assemble("\n", ("Tested here", "bold"), " (everything else is documented only)"))
    table(("Temporal", "PostgreSQL", "when", "by"), [(t.temporal, t.postgres, t.when, t.by) for t in known.tested])
    say(f"\nTaken without options: Temporal {known.pins.temporal}, its UI {known.pins.temporal_ui}.")

"""Parameters that several commands share; each is documented here, once."""

import uuid
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter, validators

from pavo.deploy.model.layout import Layout, default_data_dir

HIGHEST_PORT: Final = 65_535

Port: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=HIGHEST_PORT))]
"""A port; 0 takes a free one."""

Lines: TypeAlias = Annotated[int, Parameter(name=["--lines", "-n"], validator=validators.Number(gte=0))]
"""A number of lines."""

Limit: TypeAlias = Annotated[
    int | None,
    Parameter(
        name=["--limit", "-n"],
        validator=validators.Number(gte=1),
        help="How many at most; without it all, of which a terminal gets the first 50.",
    ),
]
"""How much of a list that has no pages (`table.Listing`)."""

Approved: TypeAlias = Annotated[
    bool, Parameter(name=["--yes", "-y", "--auto-approve"], negative=(), help="Do not ask.")
]
"""Answers yes to whatever a command asks (see `confirm`); all spellings work with every command that asks."""

Detach: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--detach",
        negative=("--foreground", "--no-detach"),
        help="Return as soon as everything is ready; with --foreground stay, and Ctrl-C drains and stops.",
    ),
]
"""Whether a stack of this machine goes on in the background; each command that starts one has its own default."""

Url: TypeAlias = Annotated[
    str | None, Parameter(name="--url", help="Address of the API; default: PAVO_URL, else the running stack.")
]

OrganisationId: TypeAlias = Annotated[
    uuid.UUID | None, Parameter(name="--org", help="An organisation's id; see: pavo org list")
]
"""One of those that somebody is a member of."""


def layout_of(data_dir: Path | None) -> Layout:
    """The data directory that a command means."""
    return Layout((data_dir or default_data_dir()).absolute())

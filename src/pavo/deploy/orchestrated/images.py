"""The container images that Pavo's targets use, by version. Exact tags; a digest can stand in for each."""

from collections.abc import Mapping

from pavo.deploy.model.compatibility import matrix
from pavo.errors import ConfigurationError

POSTGRES = {18: "18.6", 17: "17.12", 16: "16.16", 15: "15.20"}
"""The newest minor of each major that was known when this was written: what PostgreSQL released together."""
VALKEY = "9.1.2"
FIRST_SLIM_TEMPORAL = (1, 30)
"""From here on the server image has its configuration built in, and the schemas are in temporal-sql-tool."""


def images(temporal: str, postgres: int, instead: Mapping[str, str]) -> dict[str, str]:
    """Image references by name: postgres, redis, temporal, admin_tools, temporal_ui.

    `instead` replaces some of them, say by a mirror's or by one with a digest.

    Raises:
        ConfigurationError: there is no image for the version, or `instead` names none of them.
    """
    if postgres not in POSTGRES:
        raise ConfigurationError(
            f"There is no image for PostgreSQL {postgres}.",
            field="--postgres-version",
            remedy=f"Choose one of {', '.join(map(str, POSTGRES))}.",
        )
    _check_temporal(temporal)
    found = {
        "postgres": f"postgres:{POSTGRES[postgres]}",
        "redis": f"valkey/valkey:{VALKEY}",
        "temporal": f"temporalio/server:{temporal}",
        "admin_tools": f"temporalio/admin-tools:{temporal}",
        "temporal_ui": f"temporalio/ui:{matrix().pins.temporal_ui}",
    }
    unknown = sorted(set(instead) - set(found))
    if unknown:
        raise ConfigurationError(
            f"There is no image {unknown[0]!r} to replace.", field="images", remedy=f"They are {', '.join(found)}."
        )
    return found | dict(instead)


def _check_temporal(version: str) -> None:
    numbers = version.split(".")
    if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        raise ConfigurationError(
            f"{version!r} is no exact version of Temporal's server.",
            field="--temporal-version",
            remedy=f"Give major, minor and patch, like {matrix().pins.temporal}: images are pinned by exact tags.",
        )
    if (int(numbers[0]), int(numbers[1])) < FIRST_SLIM_TEMPORAL:
        raise ConfigurationError(
            f"Temporal {version} has no slim server image.",
            field="--temporal-version",
            remedy="Containers take 1.30 or later; older servers run with --target native.",
        )

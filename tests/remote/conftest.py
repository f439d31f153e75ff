"""A small forge with real git over HTTP."""

from tests.forges.conftest import repository, small_forge  # noqa: F401

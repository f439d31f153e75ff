"""Commands typed as people type them, in this process: each start of Python takes longer than what it does."""

import io
import json
import os
import shlex
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from pavo.cli.exit_codes import exit_code
from pavo.cli.main import app, print_error
from pavo.errors import PavoError


@dataclass(frozen=True)
class Typed:
    """What a command printed."""

    stdout: str
    stderr: str


@dataclass(frozen=True)
class Shell:
    """A shell of somebody who knows where the API is."""

    user: str

    async def type(self, *words: str, code: int = 0) -> Typed:
        """Run `pavo WORDS`, which ends with this code."""
        out, error = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(error), pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["pavo", *words])
            try:
                ended = await app.run_async(
                    list(words), exit_on_error=False, print_error=False, result_action="return_value"
                )
            except PavoError as failure:
                print_error(failure)
                ended = exit_code(failure)
        found = Typed(out.getvalue(), error.getvalue())
        assert (ended if isinstance(ended, int) else 0) == code, (shlex.join(words), ended, found)
        return found

    async def json(self, *words: str) -> Any:
        """The document that it prints."""
        return json.loads((await self.type(*words, "-o", "json")).stdout)


def shell_of(patch: pytest.MonkeyPatch, url: str, user: str, database_url: str) -> Shell:
    """Of this user, at this API."""
    for name, value in (("PAVO_URL", url), ("PAVO_USER", user), ("DATABASE_URL", database_url), ("COLUMNS", "200")):
        patch.setitem(os.environ, name, value)
    return Shell(user)

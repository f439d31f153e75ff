"""The secrets that an agent reads in a trial: what the test gives, of those that its class declares."""

from collections.abc import Collection, Mapping

from pavo.agents.secrets.declared import absent, check_declared


class TriedSecrets:
    """See `agents.secrets.declared.Secrets`.

    Args:
        values: by name.
        declared: the names that the agent's class declares.
    """

    def __init__(self, values: Mapping[str, str], declared: Collection[str]) -> None:
        self._values = values
        self._declared = declared

    async def secret(self, name: str) -> str:
        """The value that the test gave."""
        found = self._values.get(check_declared(name, self._declared))
        if found is None:
            raise absent(name)
        return found

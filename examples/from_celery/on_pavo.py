"""The digest on Pavo: the same class; status, events, stop, review and recovery are Pavo's."""

from digest import Digest

from pavo.adapters import GeneratorAgent


class DigestAgent(GeneratorAgent):
    """Reads the chapters that the prompt names."""

    name = "digest"
    description = "Reads the chapters that the prompt names, one after the other."
    wraps = Digest
    state = "pickle"  # signed: one that somebody else wrote is not loaded
    options_schema = {"type": "object", "properties": {"seconds": {"type": "number", "default": 0.2}}}

    def build(self, ctx):
        return Digest(ctx.options["seconds"])

    def result(self, orchestrator, returned):
        return orchestrator.text()

"""An agent like `intern` that declares itself quick."""

from typing import ClassVar

from pavo.agents.intern import InternAgent


class QuickIntern(InternAgent):
    """The same steps as those of `intern`."""

    name: ClassVar[str] = "quick_intern"
    quick: ClassVar[bool] = True

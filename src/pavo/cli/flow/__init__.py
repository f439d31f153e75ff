"""`pavo flow`: flows that are declared in files.

The extra is looked for before anything is loaded: some of what it brings comes with other extras too, so the first
module that is missed would not always name it, and the compiler of expressions is loaded in a process of its own.
"""

from pavo.kit.extras import require

require("A flow", "flows")

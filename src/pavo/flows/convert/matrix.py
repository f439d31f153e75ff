"""`strategy.matrix` of GitHub Actions: the combinations that it stands for.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrix
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final, TypeAlias, cast

from pavo.flows.convert.draft import Draft
from pavo.flows.definition.problems import Path

Combination: TypeAlias = dict[str, Any]
MAX_COMBINATIONS: Final = 256
"""GitHub's own limit."""


def combinations_of(draft: Draft, matrix: Mapping[str, Any], path: Path) -> list[Combination]:
    """All of a matrix, in their order; none, and a problem, where it is wrong."""
    axes = {
        str(name): draft.list_at(values, (*path, name), f"`{name}`")
        for name, values in matrix.items()
        if name not in ("include", "exclude")
    }
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MAX_COMBINATIONS:
        draft.refuse(path, f"it stands for {count:,} combinations", f"Give at most {MAX_COMBINATIONS}.")
        return []
    original = [dict(zip(axes, each, strict=True)) for each in product(*axes.values())] if axes else []
    for each in _objects(draft, matrix, path, "exclude"):
        original = [one for one in original if any(one.get(name) != value for name, value in each.items())]
    found = [dict(each) for each in original]
    added = list[Combination]()
    for each in _objects(draft, matrix, path, "include"):
        fitting = [at for at, one in enumerate(original) if all(one.get(n, v) == v for n, v in each.items())]
        for at in fitting:
            found[at].update(each)
        if not fitting:
            added.append(dict(each))
    found += added
    if not found or len(found) > MAX_COMBINATIONS:
        draft.refuse(path, f"it stands for {len(found):,} combinations", f"Give 1 to {MAX_COMBINATIONS}.")
        return []
    return found


def _objects(draft: Draft, matrix: Mapping[str, Any], path: Path, name: str) -> Sequence[Combination]:
    given = matrix.get(name)
    if given is None:
        return []
    place = (*path, name)
    found = draft.list_at(given, place, f"`{name}`")
    if len(found) > MAX_COMBINATIONS:
        draft.refuse(place, f"it has {len(found):,} entries", f"Give at most {MAX_COMBINATIONS}.")
        return []
    return [cast("Combination", draft.object_at(each, (*place, i), "it")) for i, each in enumerate(found)]

"""A definition's text, written so that `definition.reading` reads the same value from it."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z_$(/][A-Za-z0-9_ $.,/()'@+*=-]*[A-Za-z0-9_.)]|[A-Za-z]|[0-9]+(ms|[smhdw])")
"""Texts without a mark that YAML knows where they stand."""
_WORDS: Final = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n|none)|.*[0-9]e[0-9]")
_Node: TypeAlias = Any


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # reading refuses them


def _text(dumper: _Dumper, text: str) -> _Node:
    style = None if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text) else "|" if _is_block(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_block(text: str) -> bool:
    """Whether its lines can be written one below another; PyYAML itself falls back to quotes where they cannot."""
    return "\n" in text[:-1] and text.isascii() and text[0] not in " \n" and text.replace("\n", "").isprintable()


_Dumper.add_representer(str, _text)


def yaml_of(value: Mapping[str, Any]) -> str:
    """YAML of a definition: members in their order, no line broken.

    Args:
        value: what `kit.json_values.plain` has answered.
    """
    return yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
    )

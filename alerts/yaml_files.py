"""Write generated YAML so that people can review it."""

from __future__ import annotations

import yaml

_NEVER_FOLD = 10_000  # characters: a long string stays on one line


class _Dumper(yaml.SafeDumper):
    """Write a multi-line string as a block, as people write PromQL and descriptions."""


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def dump(content: object) -> str:
    """Return the content as YAML, keys in the order given."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NEVER_FOLD
    )

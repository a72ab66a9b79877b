"""The runbooks in docs/runbooks, as pages.

Only a name that the folder's listing holds is ever opened, so no address leads out of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

_NAME = re.compile(r"[A-Za-z0-9]+")
_TO_ANOTHER = re.compile(r"(?:\./)?([A-Za-z0-9]+)\.md(#.*)?")


def _files() -> dict[str, Path]:
    files = sorted(Path(settings.RUNBOOKS_DIR).glob("*.md"))
    return {one.stem: one for one in files if _NAME.fullmatch(one.stem) and one.stem != "README"}


def names() -> list[str]:
    """Return the alerts that have a runbook."""
    return list(_files())


def text(name: str) -> str | None:
    """Return a runbook's Markdown; None if there is none of this very name."""
    file = _files().get(name)
    return file.read_text(encoding="utf-8") if file else None


def _code(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any
) -> str:
    """Render a block of code that can be scrolled with the keyboard."""
    render = renderer.fence if tokens[at].type == "fence" else renderer.code_block
    return render(tokens, at, options, env).replace("<pre>", '<pre tabindex="0">', 1)


def _table_open(*_: object) -> str:
    return '<div class="table-scroll" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any
) -> str:
    """Lead from runbook to runbook: `OtherAlert.md` is the page beside this one."""
    token = tokens[at]
    other = _TO_ANOTHER.fullmatch(str(token.attrGet("href") or ""))
    if other:
        token.attrSet("href", f"../{other[1]}/{other[2] or ''}")
    return renderer.renderToken(tokens, at, options, env)


def _markdown() -> MarkdownIt:
    # Without HTML: what is written in the files cannot bring scripts or styles.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for rule, render in (
        ("fence", _code),
        ("code_block", _code),
        ("table_open", _table_open),
        ("table_close", _table_close),
        ("link_open", _link_open),
    ):
        markdown.add_render_rule(rule, render)
    return markdown


MARKDOWN = _markdown()


def html(markdown: str) -> str:
    """Return a runbook's Markdown as HTML that is safe to show."""
    return str(MARKDOWN.render(markdown))

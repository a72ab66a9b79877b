"""Read the runbooks in docs/runbooks and render them as HTML.

Only files in the folder's listing are opened, so no request can read a file outside it.
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
_OTHER_RUNBOOK = re.compile(r"(?:\./)?([A-Za-z0-9]+)\.md(#.*)?")


def _files() -> dict[str, Path]:
    files = sorted(Path(settings.RUNBOOKS_DIR).glob("*.md"))
    return {
        file.stem: file for file in files if _NAME.fullmatch(file.stem) and file.stem != "README"
    }


def names() -> list[str]:
    """Return the names of the alerts that have a runbook."""
    return list(_files())


def text(name: str) -> str | None:
    """Return the Markdown of a runbook, or None if no file has exactly this name."""
    file = _files().get(name)
    return file.read_text(encoding="utf-8") if file else None


def _code(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any
) -> str:
    """Render a code block that can be scrolled with the keyboard."""
    render = renderer.fence if tokens[at].type == "fence" else renderer.code_block
    return render(tokens, at, options, env).replace("<pre>", '<pre tabindex="0">', 1)


def _table_open(*_: object) -> str:
    return '<div class="table-scroll" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any
) -> str:
    """Turn a link to `OtherAlert.md` into one to that runbook's page."""
    token = tokens[at]
    other = _OTHER_RUNBOOK.fullmatch(str(token.attrGet("href") or ""))
    if other:
        token.attrSet("href", f"../{other[1]}/{other[2] or ''}")
    return renderer.renderToken(tokens, at, options, env)


def _markdown() -> MarkdownIt:
    # With HTML off, a runbook cannot add scripts or styles.
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
    """Render Markdown as safe HTML."""
    return str(MARKDOWN.render(markdown))

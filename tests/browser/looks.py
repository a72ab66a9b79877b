"""Check a page's accessibility with axe-core, and its layout.

axe.min.js is axe-core 4.14.1 from npm (MPL-2.0: axe.LICENSE, axe.LICENSE-3RD-PARTY).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESKTOP = (1280, 800)
PHONE = (390, 844)

RUN_AXE = """async (tags) => {
  const result = await axe.run(document, {runOnly: tags, resultTypes: ["violations"]});
  return result.violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""
# Load images that would be loaded lazily.
LOAD_ALL = """async () => {
  await document.fonts.ready;
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map((image) => image.decode()));
}"""
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


def look(page: Page, size: tuple[int, int], scheme: Literal["light", "dark"]) -> list[str]:
    """Check the page at one size and in one colour scheme; return the problems."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    problems = [f"{scheme} {size[0]}: {line}" for line in page.evaluate(RUN_AXE, TAGS)]
    width, visible = page.evaluate(WIDTHS)
    if width > visible:
        problems.append(f"{scheme} {size[0]}: {width} pixels wide, scrolls sideways")
    return problems


def examine(page: Page, name: str, pictures: Path) -> None:
    """Check the page on a desktop in light mode and on a phone in dark mode; take a screenshot."""
    page.evaluate(LOAD_ALL)
    problems = [*look(page, DESKTOP, "light"), *look(page, PHONE, "dark")]
    page.emulate_media(color_scheme="light")
    page.screenshot(path=pictures / f"{name}.png", full_page=True, animations="disabled")
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    assert not problems, "\n".join(problems)

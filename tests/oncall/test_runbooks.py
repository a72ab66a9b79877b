"""Runbook pages: a closed set of names, and Markdown without HTML."""

import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from oncall import runbooks
from tests.oncall.support import alert, receive

pytestmark = pytest.mark.django_db

PAGE = """# RetailOversold

See [the other](RetailTargetDown.md#first) and [the web](https://example.com/a.md).

```promql
max(retail_oversold_units) > 0
```

    indented

| query | says |
|---|---|
| `up` | <b>up</b> |

<script>alert(1)</script>

[bad](javascript:alert(1))
"""


@pytest.fixture(autouse=True)
def _folder(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "RetailOversold.md").write_text(PAGE)
    (folder / "RetailTargetDown.md").write_text("No heading: Süße Grüße\n", encoding="utf-8")
    (folder / "README.md").write_text("# About this folder\n")
    (folder / "notes.txt").write_text("not a runbook\n")
    (folder / "with space.md").write_text("not a runbook\n")
    (tmp_path / "Secret.md").write_text("not yours\n")
    settings.RUNBOOKS_DIR = folder


def article(client: Client, name: str) -> str:
    page = client.get(f"/metrics/runbooks/{name}/").content.decode()
    return page.partition('<article class="runbook">')[2].partition("</article>")[0].strip()


def test_runbooks_are_the_files_of_the_folder(admin_client: Client) -> None:
    assert runbooks.names() == ["RetailOversold", "RetailTargetDown"]
    receive(1, alert("RetailTargetDown"))
    page = admin_client.get("/metrics/runbooks/").content.decode()
    listed = re.findall(r'<li><a href="(/metrics/runbooks/\w+/)">(\w+)</a>( <span)?', page)
    assert listed == [
        ("/metrics/runbooks/RetailOversold/", "RetailOversold", ""),
        ("/metrics/runbooks/RetailTargetDown/", "RetailTargetDown", " <span"),
    ]


def test_a_page_renders_markdown_and_escapes_html(admin_client: Client) -> None:
    assert article(admin_client, "RetailOversold") == (
        "<h1>RetailOversold</h1>\n"
        '<p>See <a href="../RetailTargetDown/#first">the other</a> and '
        '<a href="https://example.com/a.md">the web</a>.</p>\n'
        '<pre tabindex="0"><code class="language-promql">max(retail_oversold_units) &gt; 0\n'
        "</code></pre>\n"
        '<pre tabindex="0"><code>indented\n</code></pre>\n'
        '<div class="table-scroll" tabindex="0"><table>\n'
        "<thead>\n<tr>\n<th>query</th>\n<th>says</th>\n</tr>\n</thead>\n"
        "<tbody>\n<tr>\n<td><code>up</code></td>\n<td>&lt;b&gt;up&lt;/b&gt;</td>\n</tr>\n</tbody>\n"
        "</table></div>\n"
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
        "<p>[bad](javascript:alert(1))</p>"
    )
    page = admin_client.get("/metrics/runbooks/RetailOversold/").content.decode()
    assert "<code>docs/runbooks/RetailOversold.md</code>" in page


def test_a_file_without_a_heading_gets_its_name_as_heading(admin_client: Client) -> None:
    assert article(admin_client, "RetailTargetDown").split("\n") == [
        "<h1>RetailTargetDown</h1>",
        "    <p>No heading: Süße Grüße</p>",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("retailoversold", "RetailOversold.md", "README", "notes", "with space", "with%20space"),
        *("..%2FSecret", "..%2fSecret.md", "%2e%2e%2fSecret", "..", "%00", "RetailOversold%00"),
        *("../Secret", "../../Secret", "/etc/passwd", "RetailOversold/../Secret", "x" * 5000),
    ],
)
def test_every_other_name_is_404(admin_client: Client, name: str) -> None:
    response = admin_client.get(f"/metrics/runbooks/{name}/")
    assert response.status_code == 404
    assert b"not yours" not in response.content


def test_without_the_folder_the_page_explains_the_setting(
    admin_client: Client, settings: Settings
) -> None:
    settings.RUNBOOKS_DIR = Path("/nowhere/at/all")
    assert b"RUNBOOKS_DIR" in admin_client.get("/metrics/runbooks/").content
    assert admin_client.get("/metrics/runbooks/RetailOversold/").status_code == 404

"""The watch that stands beside every visitor sees what it is there for."""

import pytest

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import PHONE, look

LOAD = """(address) => new Promise((resolve) => {
  const image = new Image();
  image.onload = image.onerror = resolve;
  image.src = address;
})"""
LATE_ERROR = """new Promise((done) => {
  setTimeout(() => { throw new Error("lost"); });
  setTimeout(done);
})"""


def test_the_content_security_policy_refuses_and_the_watch_tells(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.evaluate(LOAD, "http://elsewhere.example/pixel.gif")
    told = " ".join(somebody.leave())
    assert "refused by img-src: http://elsewhere.example/pixel.gif" in told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("console.error('broken')", ["console: broken"]),
        (LATE_ERROR, ["script: lost"]),
        ("fetch('/no/such/page/')", ["refused: [404], expected: []"]),
    ],
)
def test_errors_and_refusals_are_told(visitor: OpenVisitor, code: str, told: list[str]) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.evaluate(f"async () => {{ await ({code}) }}")
    found = somebody.leave()
    assert [line.splitlines()[0] for line in found] == told


def test_other_hosts_and_lost_requests_are_told(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False, bypass_csp=True)
    somebody.open("/")
    somebody.page.evaluate(LOAD, "http://elsewhere.example/pixel.gif")
    assert somebody.leave()[:2] == [
        "another host: http://elsewhere.example/pixel.gif",
        "failed: http://elsewhere.example/pixel.gif net::ERR_NAME_NOT_RESOLVED",
    ]


def test_what_is_too_pale_or_too_wide_is_told(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/cart/")
    somebody.page.evaluate(
        """() => {
          const title = document.querySelector("h1").style;
          [title.color, title.width] = ["#ccc", "600px"];
        }"""
    )
    found = look(somebody.page, PHONE, "light")
    assert [line.partition(": Fix")[0] for line in found] == [
        "light 390: color-contrast: h1",
        "light 390: 618 pixels wide, scrolls sideways",
    ]

"""The page monitor and the accessibility check find what they should."""

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


def test_content_security_policy_violations_are_reported(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.evaluate(LOAD, "http://elsewhere.example/pixel.gif")
    problems = " ".join(somebody.leave())
    assert "refused by img-src: http://elsewhere.example/pixel.gif" in problems


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("console.error('broken')", ["console: broken"]),
        (LATE_ERROR, ["script: lost"]),
        ("fetch('/no/such/page/')", ["refused: [404], expected: []"]),
    ],
)
def test_errors_and_refusals_are_reported(
    visitor: OpenVisitor, code: str, expected: list[str]
) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.evaluate(f"async () => {{ await ({code}) }}")
    problems = somebody.leave()
    assert [line.splitlines()[0] for line in problems] == expected


def test_requests_to_other_hosts_and_failed_requests_are_reported(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False, bypass_csp=True)
    somebody.open("/")
    somebody.page.evaluate(LOAD, "http://elsewhere.example/pixel.gif")
    assert somebody.leave()[:2] == [
        "another host: http://elsewhere.example/pixel.gif",
        "failed: http://elsewhere.example/pixel.gif net::ERR_NAME_NOT_RESOLVED",
    ]


def test_low_contrast_and_overflow_are_reported(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/cart/")
    somebody.page.evaluate(
        """() => {
          const title = document.querySelector("h1").style;
          [title.color, title.width] = ["#ccc", "600px"];
        }"""
    )
    problems = look(somebody.page, PHONE, "light")
    assert [line.partition(": Fix")[0] for line in problems] == [
        "light 390: color-contrast: h1",
        "light 390: 618 pixels wide, scrolls sideways",
    ]

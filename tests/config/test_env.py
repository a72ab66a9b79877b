"""Typed environment variables; invalid values are refused with a message."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

Put = Callable[[str | None], None]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return a function that sets or removes the variable X."""
    monkeypatch.setattr(env, "names_read", set())

    def put(value: str | None) -> None:
        if value is None:
            monkeypatch.delenv("X", raising=False)
        else:
            monkeypatch.setenv("X", value)

    return put


@pytest.mark.parametrize("value", [None, "", "  "])
def test_unset_and_empty_both_mean_the_default(put: Put, value: str | None) -> None:
    put(value)
    assert env.text("X", "d") == "d"
    assert env.flag("X", default=True) is True
    assert env.flag("X", default=False) is False
    assert env.number("X", 2.5) == 2.5
    assert env.integer("X", 3) == 3
    assert env.one_of("X", "a", ("a", "b")) == "a"
    assert env.words("X", ("a", "b")) == ["a", "b"]
    assert env.folder("X", Path("/d")) == Path("/d")


def test_every_name_read_is_recorded(put: Put) -> None:
    put("1")
    env.text("A")
    env.flag("B", default=True)
    env.number("C", 1)
    env.integer("X", 1)
    env.one_of("D", "a", ("a",))
    env.words("E")
    env.folder("F", Path("/"))
    env.proxies("G")
    env.address("H")
    assert env.names_read == {"A", "B", "C", "D", "E", "F", "G", "H", "X"}


@pytest.mark.parametrize(
    ("value", "result"),
    [
        *(("1", True), ("true", True), ("YES", True), (" on ", True)),
        *(("0", False), ("False", False), ("no", False), ("OFF", False)),
    ],
)
def test_booleans_have_many_spellings(put: Put, value: str, result: bool) -> None:
    put(value)
    assert env.flag("X", default=not result) is result


@pytest.mark.parametrize("value", ["maybe", "2", "-1", "truee"])
def test_an_invalid_boolean_is_refused(put: Put, value: str) -> None:
    put(value)
    with pytest.raises(ImproperlyConfigured, match="is not a boolean: use True or False"):
        env.flag("X", default=True)


@pytest.mark.parametrize(("value", "result"), [("5", 5.0), (" 0.5 ", 0.5), ("1e3", 1000.0)])
def test_numbers(put: Put, value: str, result: float) -> None:
    put(value)
    assert env.number("X", 1, least=0.5) == result


@pytest.mark.parametrize("value", ["0.49", "-1", "many", "nan", "inf", "-inf", "1,5", "0x10"])
def test_an_invalid_or_too_small_number_is_refused(put: Put, value: str) -> None:
    put(value)
    with pytest.raises(ImproperlyConfigured, match=r"^X='.*' must be a number of at least 0.5\.$"):
        env.number("X", 1, least=0.5)


def test_whole_numbers(put: Put) -> None:
    put("8000")
    number = env.integer("X", 1, least=1)
    assert (number, type(number)) == (8000, int)
    put("2.5")
    with pytest.raises(
        ImproperlyConfigured, match=r"X='2\.5' must be a whole number from 1 to 9\."
    ):
        env.integer("X", 1, least=1, most=9)
    put("10")
    with pytest.raises(ImproperlyConfigured, match="from 1 to 9"):
        env.integer("X", 1, least=1, most=9)
    put("0")
    with pytest.raises(ImproperlyConfigured, match="at least 1"):
        env.integer("X", 1, least=1)


def test_a_choice(put: Put) -> None:
    put("b")
    assert env.one_of("X", "a", ("a", "b")) == "b"
    put("c")
    with pytest.raises(ImproperlyConfigured, match=r"^X='c' must be one of: a, b\.$"):
        env.one_of("X", "a", ("a", "b"))


def test_words_are_separated_by_commas(put: Put) -> None:
    put(" a.example , b.example,, ")
    assert env.words("X", ("d",)) == ["a.example", "b.example"]


def test_a_folder_is_absolute(put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/bea")
    put("var/../metrics")
    assert env.folder("X", Path("/d")) == tmp_path.resolve() / "metrics"
    put("~/shop")
    assert env.folder("X", Path("/d")) == Path("/home/bea/shop")


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, 0),
        ("0", 0),
        ("2", 2),
        ("10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
        ("192.0.2.1", ("192.0.2.1/32",)),
    ],
)
def test_proxies_are_a_number_or_networks(
    put: Put, value: str | None, result: int | tuple[str, ...]
) -> None:
    put(value)
    assert env.proxies("X") == result


@pytest.mark.parametrize("value", ["all", "-1", "10", "10.0.0.1/8", "10.0.0.0/8,proxy"])
def test_other_proxies_are_refused(put: Put, value: str) -> None:
    put(value)
    with pytest.raises(ImproperlyConfigured, match="a number of proxies up to 9, or networks"):
        env.proxies("X")


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, ""),
        ("https://shop.example.com/", "https://shop.example.com"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_addresses_have_a_scheme(put: Put, value: str | None, result: str) -> None:
    put(value)
    assert env.address("X") == result


@pytest.mark.parametrize("value", ["shop.example.com", "ftp://x", "https://", "https://u@x", "//x"])
def test_other_addresses_are_refused(put: Put, value: str) -> None:
    put(value)
    with pytest.raises(ImproperlyConfigured, match="is not an address"):
        env.address("X")

"""Prices, stocks, keys and text from single cells: exact values, or exact codes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from partner_feeds.reading.options import Limits
from partner_feeds.reading.problems import CellError
from partner_feeds.reading.record import Unusable
from partner_feeds.reading.values import (
    ean_of,
    offered_of,
    price_of,
    sku_of,
    sold_out_of,
    stock_of,
)
from tests.partner_feeds.support import options_for

POINT, COMMA = ".", ","
NBSP, NARROW, QUOTE, THIN = "\u00a0", "\u202f", "\u2019", "\u2009"
DECIMALS, HIGH, LOW = "price_decimals", "price_too_high", "price_not_positive"
CONTROL = "control_character"
NO_DELIMITER = "The delimiter must be one character, and no quote or line break."
LONE = Unusable("name_twice", "The name 'x' is there twice.")


def code_of(read: Any, *arguments: Any) -> str:
    with pytest.raises(CellError) as raised:
        read(*arguments)
    assert len(str(raised.value)) < 200
    assert str(raised.value).endswith(".")
    return raised.value.code


@pytest.mark.parametrize(
    ("cell", "sign", "price"),
    [
        *(("1", POINT, "1.00"), ("1.5", POINT, "1.50"), ("1.50", POINT, "1.50")),
        *(("1", COMMA, "1.00"), ("1,5", COMMA, "1.50"), ("1,50", COMMA, "1.50")),
        *((" 4.20 ", POINT, "4.20"), ("4,20\t", COMMA, "4.20"), ("+4.20", POINT, "4.20")),
        *(("1,299.00", POINT, "1299.00"), ("1.299,00", COMMA, "1299.00")),
        *(("1,299", POINT, "1299.00"), ("1.299", COMMA, "1299.00")),
        *(("1,299,000.5", POINT, "1299000.50"), ("1.299.000,5", COMMA, "1299000.50")),
        *(("1'299.00", POINT, "1299.00"), ("1'299,00", COMMA, "1299.00")),
        *((f"1{QUOTE}299.00", POINT, "1299.00"), (f"1{NBSP}299,00", COMMA, "1299.00")),
        *((f"1{NARROW}299,00", COMMA, "1299.00"), ("1 299 000,00", COMMA, "1299000.00")),
        *(("19.9900", POINT, "19.99"), ("34.000000", POINT, "34.00"), ("007", POINT, "7.00")),
        *(("'19.90", POINT, "19.90"), ('="19,90"', COMMA, "19.90")),
        *(("0.01", POINT, "0.01"), ("99999999.99", POINT, "99999999.99")),
        *(("99,999,999.99", POINT, "99999999.99"), ("0000000000000.01", POINT, "0.01")),
        *(("15.00 EUR", POINT, "15.00"), ("EUR 15.00", POINT, "15.00")),
        *(("EUR15.00", POINT, "15.00"), ("15.00EUR", POINT, "15.00")),
        *((f"15,00{NBSP}EUR", COMMA, "15.00"), ("EUR 1.299,00", COMMA, "1299.00")),
        *((Decimal("1.1"), POINT, "1.10"), (Decimal("1.1"), COMMA, "1.10")),
        *((Decimal("1E+2"), POINT, "100.00"), (Decimal(5), POINT, "5.00")),
    ],
)
def test_prices(cell: Any, sign: str, price: str) -> None:
    assert str(price_of(cell, options_for("csv", decimal_sign=sign))) == price


@pytest.mark.parametrize("cell", ["", " ", None, "'", '=""', "\u00a0"])
def test_a_blank_price_or_stock_is_none(cell: Any) -> None:
    assert price_of(cell, options_for("csv")) is None
    assert stock_of(cell, options_for("csv")) is None


@pytest.mark.parametrize(
    ("cell", "sign", "code"),
    [
        *(("4,20", POINT, "price"), ("4.20", COMMA, "price")),
        *(("1.355,90", POINT, "price"), ("1,355.90", COMMA, "price")),
        *(("1,29", POINT, "price"), ("1,2999", POINT, "price"), ("12,34,567", POINT, "price")),
        *(("1,299 000", POINT, "price"), ("1.299,000.00", POINT, "price")),
        *((",299", POINT, "price"), ("1,,299", POINT, "price"), ("1299,000", POINT, "price")),
        # A grouped number does not begin with 0: this is a decimal sign that is not the set one.
        *(("0,500", POINT, "price"), ("0.500", COMMA, "price"), ("01,299", POINT, "price")),
        *((f"1{THIN}299", POINT, "price"), ("1_299", POINT, "price"), ("1. 5", POINT, "price")),
        *((".5", POINT, "price"), ("5.", POINT, "price"), ("1.2.3", POINT, "price")),
        *(("--5", POINT, "price"), ("5-", POINT, "price"), ("- 5", POINT, "price")),
        *(("\u22125", POINT, "price"), ("1e2", POINT, "price"), ("1E2", POINT, "price")),
        *(("0x10", POINT, "price"), ("nan", POINT, "price"), ("NaN", POINT, "price")),
        *(("inf", POINT, "price"), ("-Infinity", POINT, "price"), ("sNaN", POINT, "price")),
        *(("INF", POINT, "currency"), ("NAN", POINT, "currency")),
        *(("free", POINT, "price"), ("1/2", POINT, "price"), ("12 each", POINT, "price")),
        *(("\u0661\u0662", POINT, "price"), ("\uff11", POINT, "price"), ("\u00b2", POINT, "price")),
        *(("5 \u20ac", POINT, "price"), ("$5", POINT, "price"), ("5 eur", POINT, "price")),
        *(("EUR", POINT, "price"), ("EUR EUR 5", POINT, "price"), ("EUR 5 EUR", POINT, "price")),
        *(("15.00 USD", POINT, "currency"), ("USD 15.00", POINT, "currency")),
        *(("CHF 3'450.50", COMMA, "currency"), ("GBP", POINT, "currency")),
        *(("0", POINT, LOW), ("0,00", COMMA, LOW)),
        *(("-0", POINT, LOW), ("-1.00", POINT, LOW)),
        *(("EUR -1.00", POINT, LOW), ("0.000", POINT, LOW)),
        *(("1.005", POINT, DECIMALS), ("0.001", POINT, DECIMALS)),
        *(("0.0450", POINT, DECIMALS), ("99999999.990001", POINT, HIGH)),
        *(("99999999.991", POINT, HIGH), ("100,000,000", POINT, HIGH)),
        *(("9" * 5000, POINT, HIGH), ("1." + "0" * 5000 + "1", POINT, DECIMALS)),
        *((Decimal("1e400"), POINT, HIGH), (Decimal("1e-400"), POINT, DECIMALS)),
        *((Decimal(-1), POINT, LOW), (Decimal("1.005"), POINT, DECIMALS)),
        *((Decimal("9" * 5000), POINT, HIGH), (Decimal(0), POINT, LOW)),
        *((True, POINT, "not_text"), (False, POINT, "not_text"), (["1"], POINT, "several_values")),
        *((LONE, POINT, "name_twice"), ("1\x00", POINT, CONTROL)),
        *(("1\udce9", POINT, "encoding"), ("1\ufffd", POINT, "encoding")),
    ],
)
def test_prices_that_are_not_accepted(cell: Any, sign: str, code: str) -> None:
    assert code_of(price_of, cell, options_for("csv", decimal_sign=sign)) == code


@pytest.mark.parametrize(
    ("cell", "symbol", "price"),
    [
        *(("5 €", "€", "5.00"), ("€5", "€", "5.00"), ("€ 5", "€", "5.00"), ("5", "€", "5.00")),
        *(("zł 5", "zł", "5.00"), ("R$5", "R$", "5.00"), ("5 EUR", "€", "5.00")),
        *(("€5€", "€", "price"), ("$5", "€", "price"), ("€€5", "€", "price")),
        *(("€", "€", "price"), ("€-5", "€", LOW), ("5 USD", "€", "currency")),
    ],
)
def test_a_symbol_is_accepted_if_it_is_set(cell: str, symbol: str, price: str) -> None:
    options = options_for("csv", symbol=symbol)
    try:
        result = str(price_of(cell, options))
    except CellError as error:
        result = error.code
    assert result == price


def test_limits_of_price_and_stock_are_settings() -> None:
    options = options_for("csv", limits=Limits(price=Decimal(10), stock=10))
    assert price_of("10.00", options) == 10
    assert code_of(price_of, "10.01", options) == HIGH
    assert stock_of("10", options) == 10
    assert code_of(stock_of, "11", options) == "stock_too_high"


@pytest.mark.parametrize(
    ("cell", "sign", "stock"),
    [
        *(("0", POINT, 0), ("7", POINT, 7), (" 7 ", COMMA, 7), ("+7", POINT, 7), ("-0", POINT, 0)),
        *(("4.0000", POINT, 4), ("4,0", COMMA, 4), ("'7", POINT, 7), ('="7"', POINT, 7)),
        *(("1.000", COMMA, 1000), ("1,000", POINT, 1000), ("1 000", POINT, 1000)),
        *(("1.000", POINT, 1), ("1,000", COMMA, 1), ("1000000000", POINT, 1_000_000_000)),
        *((Decimal(3), POINT, 3), (Decimal("2.0"), COMMA, 2), (Decimal("1E+3"), POINT, 1000)),
    ],
)
def test_stocks(cell: Any, sign: str, stock: int) -> None:
    result = stock_of(cell, options_for("csv", decimal_sign=sign))
    assert (result, type(result)) == (stock, int)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        *(("many", "stock"), ("in stock", "stock"), ("10+", "stock"), (">10", "stock")),
        *(("1e3", "stock"), ("NaN", "stock"), ("Infinity", "stock"), ("\u0663", "stock")),
        *(("1,5", "stock"), ("0,500", "stock"), ("7 EUR", "stock"), ("5 pcs", "stock")),
        *(("1.5", "stock_not_whole"), ("0.001", "stock_not_whole")),
        *(("-1", "stock_negative"), ("'-7", "stock_negative"), ("-1.5", "stock_negative")),
        *(("1000000001", "stock_too_high"), ("9" * 5000, "stock_too_high")),
        *((Decimal("1e400"), "stock_too_high"), (Decimal("1e999999999"), "stock_too_high")),
        *((Decimal("1e-999999999"), "stock_not_whole"), (Decimal(-2), "stock_negative")),
        *((Decimal("NaN"), "stock"), (Decimal("Infinity"), "stock")),
        *((True, "not_text"), ([], "several_values"), (LONE, "name_twice")),
        ("1\x00", CONTROL),
    ],
)
def test_stocks_that_are_not_accepted(cell: Any, code: str) -> None:
    assert code_of(stock_of, cell, options_for("csv")) == code


def test_a_stock_below_zero_may_be_zero() -> None:
    options = options_for("csv", negative_stock_is_zero=True)
    for cell in ("-1", "'-7", "-1.5", Decimal(-2), Decimal("-1e400")):
        assert stock_of(cell, options) == 0


@pytest.mark.parametrize(
    ("cell", "ean"),
    [
        *(("4006381333931", "4006381333931"), (" 4006381333931 ", "4006381333931")),
        *(("'4006381333931", "4006381333931"), ('="4006381333931"', "4006381333931")),
        *(("978-0-00-000000-2", "9780000000002"), ("400638 133393 1", "4006381333931")),
        *(("075678164125", "075678164125"), ("0075678164125", "0075678164125")),
        *(("96385074", "96385074"), ("10012345000017", "10012345000017")),
        *(("", ""), (None, ""), ("  ", ""), ("'", ""), ('=""', "")),
    ],
)
def test_eans(cell: Any, ean: str) -> None:
    assert ean_of(cell) == ean


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        *(("4.00638E+12", "ean_exponent"), ("4,00638E+12", "ean_exponent")),
        *(("4.00638e12", "ean_exponent"), ("4E12", "ean_exponent"), ("4E+12", "ean_exponent")),
        *(("4.00638 E +12", "ean_exponent"), ("4006381333930", "ean_check_digit")),
        *(("0006381333931", "ean_check_digit"), ("96385075", "ean_check_digit")),
        *(("4006381333931.0", "ean"), ("75678164125", "ean"), ("400638133393", "ean_check_digit")),
        *(("123", "ean"), ("40063813339310000", "ean"), ("n/a", "ean"), ("-", "ean")),
        *(("400638133393X", "ean"), ("\u0664006381333931", "ean"), ("\uff14006381333931", "ean")),
        *((Decimal(4006381333931), "ean"), (Decimal("4.00638E+12"), "ean"), (True, "not_text")),
        *((["1", "2"], "several_values"), (LONE, "name_twice"), ("1\x01", CONTROL)),
        ("4" * 100_000, "ean"),
        ("4" * 100_000 + "E+12", "ean_exponent"),
    ],
)
def test_eans_that_are_not_accepted(cell: Any, code: str) -> None:
    assert code_of(ean_of, cell) == code


@pytest.mark.parametrize(
    ("cell", "sku"),
    [
        *(("A1", "A1"), (" A1 ", "A1"), ("0012", "0012"), ("12", "12"), ("1E10", "1E10")),
        *(("MAR-1", "MAR-1"), ("a b", "a b"), ("Größe/3", "Größe/3"), ("x" * 64, "x" * 64)),
        *(("'0012", "0012"), ('="0012"', "0012"), ("\u0661", "\u0661"), ("=1+1", "=1+1")),
    ],
)
def test_keys(cell: Any, sku: str) -> None:
    assert sku_of(cell) == sku


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        *(("", "no_key"), (None, "no_key"), ("  ", "no_key"), ("'", "no_key"), ('=""', "no_key")),
        *((Decimal(3), "key_not_text"), (Decimal("9" * 5000), "key_not_text"), (True, "not_text")),
        *(("x" * 65, "key_too_long"), ("a\tb", CONTROL), ("a\nb", CONTROL)),
        *(("a\u200bb", CONTROL), ("a\u00a0b", CONTROL)),
        *(("a\x00", CONTROL), ("a\x7f", CONTROL), ("\x85a\x81", CONTROL)),
        *(("a\udc80", "encoding"), ("a\ufffd", "encoding"), ("\u00c3\u00bc", "encoding")),
        *((["a", "b"], "several_values"), (LONE, "name_twice")),
    ],
)
def test_keys_that_are_not_accepted(cell: Any, code: str) -> None:
    assert code_of(sku_of, cell) == code


@pytest.mark.parametrize(
    ("cell", "sold_out"),
    [
        *(("in_stock", False), ("in stock", False), (" In  Stock ", False)),
        *(("out_of_stock", True), ("out of stock", True), ("preorder", True), ("backorder", True)),
        *(("pre_order", True), ("Back Order", True), ("", None), (None, None)),
    ],
)
def test_availabilities(cell: Any, sold_out: object) -> None:
    assert sold_out_of(cell) is sold_out


@pytest.mark.parametrize(
    ("cell", "offered"),
    [
        *(("1", True), ("TRUE", True), ("yes", True), ("Active", True), (True, True)),
        *(("0", False), ("-1", False), ("false", False), ("draft", False), (False, False)),
        *(("archived", False), ("", None), (None, None), (Decimal(1), True), (Decimal(0), False)),
    ],
)
def test_what_is_offered(cell: Any, offered: object) -> None:
    assert offered_of(cell) is offered


def test_unknown_words_are_not_accepted() -> None:
    for cell in ("soon", "instock", "1"):
        assert code_of(sold_out_of, cell) == "availability"
    for word in ("maybe", "2", Decimal(2), Decimal("1e5")):
        assert code_of(offered_of, word) == "offered"
    assert code_of(sold_out_of, Decimal(1)) == "not_text"
    assert code_of(offered_of, ["1", "0"]) == "several_values"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"encoding": "utf-7"},
            "Encoding must be one of utf-8, cp1252, iso-8859-1, iso-8859-15.",
        ),
        ({"decimal_sign": ";"}, "The decimal sign must be a point or a comma."),
        ({"decimal_sign": ""}, "The decimal sign must be a point or a comma."),
        *(({"delimiter": wrong}, NO_DELIMITER) for wrong in (";;", '"', "\n", "\r")),
    ],
)
def test_settings_that_no_file_can_be_read_with(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + sentence.replace(".", "[.]") + "$"):
        options_for("csv", **settings)

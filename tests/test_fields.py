"""The cleaners: what each takes, and that it says no to what it would have to guess."""

import builtins
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from scraper import Field, Response, fields
from scraper.errors import MissingExtra, RequestError, SpiderError
from scraper.fields import takes_page

NBSP, THIN, NARROW = "\u00a0", "\u2009", "\u202f"


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("£1,234.50", "1234.50"),
        ("1.234,50 €", "1234.50"),
        ("1 234,50", "1234.50"),
        (f"1{NBSP}234,50{NBSP}€", "1234.50"),
        (f"1{NARROW}234{NARROW}567,5 Kč", "1234567.5"),
        (f"1{THIN}234.50", "1234.50"),
        ("CHF 1'234.50", "1234.50"),
        ("₹1,23,456.78", "123456.78"),
        ("1.234.567", "1234567"),
        ("1,234", "1234"),
        ("1.234", "1234"),
        ("0.999", "0.999"),
        ("12345.678", "12345.678"),
        ("12,5", "12.5"),
        ("$.50", "0.50"),
        ("19.99", "19.99"),
        ("Price: US$ 5.", "5"),
        ("5 €/kg", "5"),
        ("12,-", "12"),
        ("-£5.00", "-5.00"),
        ("£-5.00", "-5.00"),
        ("\u2212 5", "-5"),
        ("SKU-5", "5"),
        ("\u0663\u066b\u0665", "3.5"),
        ("0", "0"),
    ],
)
def test_a_price_is_the_one_number_of_a_text(text: str, amount: str) -> None:
    found = fields.price(text)
    assert (type(found), str(found)) == (Decimal, amount)


@pytest.mark.parametrize(
    "text",
    [
        "free",
        "",
        "£20 - £30",
        "was £20 now £15",
        "12 34",
        "1,2,3",
        "12.345,6,7",
        "1.2k",
        "3M",
        "1e5",
        "1\n234",
        "1.234.56",
    ],
)
def test_a_price_that_would_be_a_guess_is_refused(text: str) -> None:
    for read in (fields.price, fields.number):
        with pytest.raises(ValueError, match=r"number"):
            read(text)


def test_who_knows_the_decimal_mark_says_it() -> None:
    assert fields.price("1.234", decimal=".") == Decimal("1.234")
    assert fields.price("1,234", decimal=",") == Decimal("1.234")
    assert partial(fields.price, decimal=",")("1.234") == 1234


@pytest.mark.parametrize("value", [5, 5.25, Decimal("5.5")])
def test_numbers_pass(value: Any) -> None:
    assert fields.price(value) == Decimal(str(value))
    assert fields.number(value) == value
    for other in (True, None, [5]):
        with pytest.raises(ValueError, match="no text with a number"):
            fields.price(other)


def test_a_number_is_whole_when_it_is_written_so() -> None:
    found = [fields.number(text) for text in ("In stock (22 available)", "1,234", "1.234", "4.0", "45 %", "-3")]
    assert [(type(each), each) for each in found] == [
        (int, 22),
        (int, 1234),
        (float, 1.234),
        (float, 4.0),
        (int, 45),
        (int, -3),
    ]


def test_strip_takes_what_looks_like_nothing() -> None:
    assert fields.strip(f"\ufeff{NBSP} a\u200b b \n\u3000") == "a\u200b b"
    assert fields.strip([" a ", ("b ",), 5]) == ["a", ("b",), 5]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2024-03-05", date(2024, 3, 5)),
        (" 2024-03-05T10:30:00Z\n", datetime(2024, 3, 5, 10, 30, tzinfo=UTC)),
        ("5 March 2024", date(2024, 3, 5)),
        ("Mar 5, 2024 10:30", datetime(2024, 3, 5, 10, 30)),
        ("Tue, 05 Mar 2024 08:49:37 GMT", datetime(2024, 3, 5, 8, 49, 37, tzinfo=UTC)),
        ("03/05/2024", date(2024, 3, 5)),
        ("5 March 2024 00:00", datetime(2024, 3, 5)),
    ],
)
def test_a_date_has_a_time_when_its_text_has(text: str, found: date) -> None:
    read = fields.date(text)
    assert (type(read), read) == (type(found), found)
    assert fields.date(read) is read


def test_a_date_is_never_completed() -> None:
    assert fields.date("03/05/2024", dayfirst=True) == date(2024, 5, 3)
    for text in ("5 March", "March 2024", "10:30", "yesterday", "", "2024"):
        with pytest.raises(ValueError, match=r"."):
            fields.date(text)


def test_without_dateutil_iso_dates_are_read_and_others_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("dateutil"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr("scraper.extra.import_module", lambda name: without(name))
    assert fields.date("2024-03-05") == date(2024, 3, 5)
    with pytest.raises(MissingExtra, match=r"5 March 2024.*scraper\[dates\]"):
        fields.date("5 March 2024")


def test_an_absolute_url_is_that_of_its_page() -> None:
    page = Response("http://a.test/x/y", body=b'<base href="/z/">')
    assert fields.absolute_url("../b?c#d", page) == "http://a.test/b?c"
    assert fields.absolute_url(["e", "//f.test"], page) == ["http://a.test/z/e", "http://f.test/"]
    for wrong in ("", " ", None):
        with pytest.raises(ValueError, match="no URL"):
            fields.absolute_url(wrong, page)
    with pytest.raises(RequestError, match="not an http"):
        fields.absolute_url("mailto:a@b", page)


def test_a_cleaner_with_a_second_parameter_is_given_the_page() -> None:
    assert takes_page(fields.absolute_url)
    assert takes_page(lambda value, response: value)
    for one in (
        fields.price,
        fields.strip,
        int,
        str.strip,
        lambda value, more=1: value,
        partial(fields.price, decimal=","),
    ):
        assert not takes_page(one)


def test_what_is_no_function_is_told_where_it_is_written() -> None:
    async def waits(value: str) -> str:
        return value

    with pytest.raises(SpiderError, match=r"waits\(\), which is async; what has to wait is a step"):
        Field(clean=waits)
    for wrong in ("strip", [fields.strip, 5], Field()):
        with pytest.raises((SpiderError, TypeError), match=r"no function|not iterable"):
            Field(clean=wrong)

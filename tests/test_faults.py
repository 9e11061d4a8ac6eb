"""The table of foreign exceptions has a line for every class of aiohttp's client."""

import inspect
import re
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey

import scraper.decompress
from scraper import errors
from scraper.deadline import Overdue
from scraper.errors import FetchError
from scraper.fetchers.faults import FOREIGN, TABLE, fault
from scraper.request import Request
from scraper.settings import Settings

URL = "http://shop.test/page"
KEY = ConnectionKey("shop.test", 443, True, True, None, None, None)


def classes(*modules: object) -> list[type[BaseException]]:
    found = {
        each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Exception) and not issubclass(each, Warning)
    }
    return sorted(found, key=lambda each: each.__name__)


def descendants(kind: type[BaseException]) -> set[type[BaseException]]:
    found = {kind}
    for each in kind.__subclasses__():
        found |= descendants(each)
    return found


@pytest.mark.parametrize("kind", classes(aiohttp, client_exceptions, http_exceptions))
def test_every_exception_of_aiohttp_has_a_line(kind: type[BaseException]) -> None:
    assert kind in TABLE, f"scraper/fetchers/faults.py has no line for {kind.__name__}"


@pytest.mark.parametrize("root", [aiohttp.ClientError, http_exceptions.HttpProcessingError])
def test_subclasses_that_aiohttp_keeps_elsewhere_have_a_line(root: type[BaseException]) -> None:
    ours = {each for each in descendants(root) if each.__module__.startswith("aiohttp")}
    assert {each for each in ours if each not in TABLE} == set()


@pytest.mark.parametrize("kind", classes(scraper.decompress))
def test_every_exception_of_our_decoder_has_a_line(kind: type[BaseException]) -> None:
    leaf = not kind.__subclasses__() and kind.__module__ == "scraper.decompress"
    assert not leaf or kind in TABLE


@pytest.mark.parametrize(("kind", "line"), TABLE.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_each_line_makes_an_error_that_says_where(
    kind: type[BaseException], line: tuple[type[FetchError], str]
) -> None:
    told = type(kind.__name__, (kind,), {"__str__": lambda self: "the reason"})
    error = told.__new__(told)  # their constructors want parts of a real failure
    if isinstance(error, aiohttp.ClientResponseError):
        error.status, error.message = 407, "the reason"
    request = Request(URL)
    found = fault(error, request, Settings(), 200)
    assert type(found) is line[0]
    assert URL in str(found)
    assert found.request is request
    assert found.status == 200
    assert not re.search(r"\{\w", str(found))


def test_the_nearest_base_answers_for_an_unknown_subclass() -> None:
    class Novel(aiohttp.ClientConnectorDNSError):
        pass

    found = fault(Novel(KEY, OSError(None, "not today")), Request(URL), Settings())
    assert type(found) is errors.DnsError
    assert "not today" in str(found)


def test_limits_are_named_with_their_values() -> None:
    settings = Settings(connect_timeout=2.5, total_timeout=7, max_body_size=12_345)
    said = [
        str(fault(error, Request(URL), settings))
        for error in (aiohttp.ConnectionTimeoutError(), Overdue(), scraper.decompress.OverLimit("x"))
    ]
    assert "2.5 s" in said[0] and "connect_timeout" in said[0]
    assert "7 s" in said[1] and "total_timeout" in said[1]
    assert "12,345 bytes" in said[2] and "max_body_size" in said[2]


def test_bugs_are_not_caught() -> None:
    for kind in (AttributeError, KeyError, AssertionError, KeyboardInterrupt, MemoryError):
        assert not issubclass(kind, FOREIGN)


def test_a_certificate_error_is_not_tried_again() -> None:
    error = aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("self-signed"))
    found = fault(error, Request(URL), Settings())
    assert type(found) is errors.TlsError
    assert not found.transient
    assert "self-signed" in str(found)

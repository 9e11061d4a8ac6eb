"""What a replay is made of: differences, queries that are noted and whom they feed, the network that is forbidden."""

import asyncio
import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scraper.offline.checking import Checked
from scraper.offline.differences import Difference, differences
from scraper.offline.fixture import name_for
from scraper.offline.given import Given, GivenItem, GivenReject, GivenRequest, bare, dumps
from scraper.offline.network import NetworkForbidden, forbidden
from scraper.offline.secrets import (
    is_secret,
    kept_answer_headers,
    kept_body,
    kept_carried,
    kept_headers,
    kept_url,
)
from scraper.offline.suspects import Suspect, fields_of, suspects
from scraper.offline.trace import Query, Spot, Trace
from scraper.response import Response


def book(key: str | None = None, **data: Any) -> GivenItem:
    return GivenItem(kind="book", key=key, data=data)


def given(*items: GivenItem, **more: Any) -> Given:
    return Given(items=list(items), **more)


# differences


def test_equal_things_do_not_differ() -> None:
    page = given(book("1", price=1.5), requests=[GivenRequest("http://a.test/")], dropped={"offsite": 2})
    assert differences(page, page) == []


def test_an_item_with_a_key_is_compared_wherever_it_stands() -> None:
    before, after = given(book("1", price=1), book("2", price=2)), given(book("2", price=3), book("1", price=1))
    assert differences(before, after) == [Difference("book 2", "price", "2", "3")]


def test_items_of_one_key_are_compared_by_their_place() -> None:
    twice = given(book("1", n=1), book("1", n=2))
    assert differences(twice, twice) == []
    assert differences(twice, given(book("1", n=1), book("1", n=3))) == [Difference("book 1 2", "n", "2", "3")]
    assert differences(twice, given(book("1", n=1))) == [Difference("book 1 2", None, '{"n": 2}', None)]


def test_an_item_without_a_key_that_is_missing_does_not_shift_the_others() -> None:
    before = given(book(n=1), book(n=2), book(n=3))
    assert differences(before, given(book(n=1), book(n=3))) == [Difference("book 2", None, '{"n": 2}', None)]
    assert differences(given(book(n=1), book(n=3)), before) == [Difference("book 2", None, None, '{"n": 2}')]


def test_values_are_compared_by_what_they_are_in_json() -> None:
    assert differences(given(book(n=1)), given(book(n=1.0))) == []
    assert differences(given(book(n=1)), given(book(n=True))) == [Difference("book", "n", "1", "true")]
    assert differences(given(book(n=None)), given(book())) == [Difference("book", "n", "None", "no such field")]


def test_what_lies_within_a_field_is_named() -> None:
    before, after = given(book(tags=["a", "b"], size={"x": 1})), given(book(tags=["a", "c"], size={"x": 2}))
    assert [each.field for each in differences(before, after)] == ["tags[1]", "size.x"]


def test_long_texts_are_shown_where_they_begin_to_differ() -> None:
    text = "word " * 400
    [found] = differences(given(book(text=text + "end")), given(book(text=text + "END")))
    assert found.expected is not None and found.got is not None
    assert 'word end" (2,003 characters)' in found.expected
    assert 'word END" (2,003 characters)' in found.got
    assert found.expected.startswith("…")


def test_ignored_fields_are_not_compared() -> None:
    before, after = given(book(at=1, n=1)), given(book(at=2, n=2))
    assert [each.field for each in differences(before, after, ["at"])] == ["n"]
    assert [each.field for each in differences(before, after, ["book.at"])] == ["n"]
    assert [each.field for each in differences(before, after, ["other.at"])] == ["at", "n"]


def test_requests_are_compared_in_any_order_and_by_all_they_carry() -> None:
    one, two = GivenRequest("http://a.test/1"), GivenRequest("http://a.test/2", cb_kwargs={"page": 2})
    assert differences(given(requests=[one, two]), given(requests=[two, one])) == []
    other = GivenRequest("http://a.test/2", "parse_list", cb_kwargs={"page": 3})
    assert differences(given(requests=[two]), given(requests=[other])) == [
        Difference("request GET http://a.test/2", "callback", '"parse"', '"parse_list"'),
        Difference("request GET http://a.test/2", "cb_kwargs.page", "2", "3"),
    ]
    assert differences(given(requests=[one, two]), given(requests=[one])) == [
        Difference("request GET http://a.test/2", None, "parse(page=2)", None)
    ]


def test_a_body_that_differs_is_another_request() -> None:
    one, two = (GivenRequest("http://a.test/", method="POST", body=body) for body in ("a=1", "a=2"))
    assert [each.got is None for each in differences(given(requests=[one]), given(requests=[two]))] == [True, False]


def test_rejects_and_drops_are_compared() -> None:
    before = given(rejects=[GivenReject("book", "no price")], dropped={"offsite": 1})
    assert [each.what for each in differences(before, given())] == ["book rejected", "dropped"]


# the files


def test_one_request_stands_on_one_line() -> None:
    page = Given(requests=[GivenRequest("http://a.test/1", "parse_book"), GivenRequest("http://a.test/2")])
    assert dumps(bare(page)).splitlines() == [
        "{",
        '  "requests": [',
        '    {"url": "http://a.test/1", "callback": "parse_book"},',
        '    {"url": "http://a.test/2"}',
        "  ]",
        "}",
    ]
    assert json.loads(dumps({"ä": ["x" * 200, {"n": None}], "e": []})) == {"ä": ["x" * 200, {"n": None}], "e": []}


def test_headers_that_are_secret_or_of_the_moment_are_left_out() -> None:
    headers = {"Set-Cookie": "a=1", "Date": "now", "X-Auth-Token": "x", "Content-Type": "text/html", "Link": "<b>"}
    assert kept_answer_headers(headers) == {"Content-Type": "text/html", "Link": "<b>"}
    assert kept_answer_headers(headers, ["date"])["Date"] == "now"
    assert kept_headers({"Authorization": "x", "Cookie": "x", "X-API-Key": "x", "Accept": "a/b"}) == {"Accept": "a/b"}


def test_only_names_of_secrets_make_a_secret() -> None:
    names = ("author", "authors", "Authorization", "oauth", "X-Authorisation", "keyword", "api-key")
    assert [name for name in names if is_secret(name)] == ["Authorization", "oauth", "X-Authorisation", "api-key"]


def test_secrets_in_urls_and_in_what_a_request_carries_are_replaced() -> None:
    assert kept_url("http://me:x@a.test/p?api_key=x&page=2&access_token=y#z") == (
        "http://a.test/p?api_key=***&page=2&access_token=***#z"
    )
    assert kept_url("http://a.test/?page_token=2&q=") == "http://a.test/?page_token=2&q="
    assert kept_carried({"password": "x", "passwords": 2, "token": "2", "pair": (1, 2)}) == {
        "password": "***",
        "passwords": 2,
        "token": "2",
        "pair": [1, 2],
    }


def test_passwords_in_bodies_are_replaced_and_the_rest_can_be_read() -> None:
    assert kept_body(b"user=me&password=x&csrf=1") == ("user=me&password=***&csrf=1", ["password"])
    assert kept_body(b'{"user":"me","api_key":"x"}') == ('{"user":"me","api_key":"***"}', ["api_key"])
    assert kept_body(b'{"a": [1]}') == ('{"a": [1]}', [])
    assert kept_body(b"\xff") == ("base64:/w==", [])
    assert kept_body(b"base64:") == ("base64:YmFzZTY0Og==", [])
    assert kept_body(None) == (None, [])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.test/", "index"),
        ("http://a.test/index.html", "index"),
        ("http://a.test/catalogue/a-light_1000/index.html", "catalogue-a-light_1000"),
        ("http://a.test/search?q=a%20b&page=2", "search-q-a-20b-page-2"),
        (f"http://a.test/{'x' * 50}/the-last-part-of-it.php", "the-last-part-of-it"),
        ("http://a.test/../..%2f..%2fetc", "2f..-2fetc"),
    ],
)
def test_fixtures_are_named_after_their_pages(url: str, name: str) -> None:
    assert name_for(url) == name


# queries

PAGE = b"""<ul><li><a href="/1">One</a><li><a href="/2">Two</a></ul><p class=price>5.20</p>"""


def asked(ask: Any) -> dict[str, tuple[int, int]]:
    trace = Trace()
    with trace.noting():
        ask(Response("http://a.test/", body=PAGE, headers={"Content-Type": "text/html"}))
    return {query: (each.matched, each.asked) for query, each in trace.queries.items()}


def test_queries_are_noted_with_the_chain_that_leads_to_them() -> None:
    def ask(page: Response) -> None:
        for each in page.css("li"):
            each.css("a::text").get()
        page.css("li")[0].css("b")
        page.css("p.price").re_first(r"[\d.]+")
        page.css("p.none").re_first(r"\d")
        page.css(query="i").re(pattern="x")
        assert len(list(page.follow_all("a"))) == 2

    assert asked(ask) == {
        "css('li')": (4, 2),
        "css('li').css('a::text')": (2, 2),
        "css('li').css('b')": (0, 1),
        "css('p.price')": (1, 1),
        "css('p.price').re_first('[\\d.]+')": (1, 1),
        "css('p.none')": (0, 1),
        "css('p.none').re_first('\\d')": (0, 1),
        "css('i')": (0, 1),
        "css('i').re('x')": (0, 1),
        "css('a')": (2, 1),
    }


def test_xpath_is_noted_too() -> None:
    def ask(page: Response) -> None:
        for each in page.xpath("//li"):
            each.xpath("./a/@href").get()

    assert asked(ask) == {"xpath('//li')": (2, 1), "xpath('//li').xpath('./a/@href')": (2, 2)}


def test_nothing_is_noted_afterwards() -> None:
    before = dict(vars(Response)), Response.css
    asked(lambda page: page.css("a"))
    assert (dict(vars(Response)), Response.css) == before


SPIDER = """
def parse(self, response):
    page = response.css("div.main")
    price = page.css("p.price::text")
    facts = {row.css("th").get(): row.css("td").get() for row in response.css("tr")}
    item = {}
    item["stock"] = response.css("b.stock").get()
    for link in response.css("a.more"):
        yield response.follow(link)
    yield Book(
        title=page.css("h1::text").get(),
        price=float(price.get()),
        currency=price.re_first("[A-Z]+"),
        upc=facts["UPC"],
    )
    yield {"author": response.css("i::text").get(), "rest": 1}
"""


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ('response.css("div.main")', {"title", "price", "currency"}),
        ('page.css("p.price::text")', {"price", "currency"}),
        ('response.css("tr")', {"upc"}),
        ('row.css("td")', {"upc"}),
        ('response.css("b.stock")', {"stock"}),
        ('page.css("h1::text")', {"title"}),
        ('response.css("i::text")', {"author"}),
        ('response.css("a.more")', set()),
    ],
)
def test_the_fields_that_a_query_feeds_are_read_in_the_source(tmp_path: Path, query: str, fields: set[str]) -> None:
    file = tmp_path / "spider.py"
    file.write_text(SPIDER)
    [(line, text)] = [(number, each) for number, each in enumerate(SPIDER.splitlines(), 1) if query in each]
    spot = Spot(str(file), line, (line, text.index(query) + len(query)))
    assert fields_of(spot) == fields


def test_a_query_whose_parent_is_gone_is_not_told_beside_it() -> None:
    before = [Query("css('div')", 1), Query("css('div').css('h1')", 1), Query("css('p')", 3)]
    now = [Query("css('div')", 0), Query("css('div').css('h1')", 0), Query("css('p')", 2)]
    found = suspects(before, now, {})
    assert [str(each) for each in found] == [
        "css('div') matched 1 when recorded, none now",
        "css('p') matched 3 when recorded, 2 now",
    ]
    assert [each.dead for each in found] == [True, False]


def test_a_query_that_was_rewritten_is_told() -> None:
    found = suspects([Query("css('p.price')", 1)], [Query("css('p.prise')", 0)], {})
    assert [str(each) for each in found] == [
        "css('p.prise') is new, and matches nothing",
        "css('p.price') matched 1 when recorded, is not asked now",
    ]
    assert suspects([Query("css('p')", 0)], [Query("css('p')", 0)], {}) == []


def test_what_follows_from_something_else_is_not_told() -> None:
    less_often = [Query("css('p')", 20, asked=20)], [Query("css('p')", 10, asked=10)]
    assert suspects(*less_often, {}) == []
    assert [str(each) for each in suspects([Query("css('p')", 1)], [], {})] == [
        "css('p') matched 1 when recorded, is not asked now"
    ]
    assert suspects([Query("css('p')", 1)], [], {}, raised=True) == []


def test_a_query_that_still_matches_is_told_at_the_end_and_not_beside_the_field() -> None:
    words = " matched 3 when recorded, 2 now"
    checked = Checked("shop/book", differences=[Difference("book", "price", "1", "2")])
    checked.suspects = [Suspect("css('p')", words, False, ["price"])]
    assert list(checked.lines()) == [
        "book",
        "  price: expected 1, got 2",
        "queries that match otherwise than when it was recorded",
        f"  css('p'){words}  (price)",
    ]


# the network


def by_address() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=5)


def by_name() -> None:
    socket.getaddrinfo("shop.test", 80)


def by_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"?", ("127.0.0.1", 9))


def by_urllib() -> None:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:9/", timeout=5)


async def _by_aiohttp() -> None:
    async with aiohttp.ClientSession() as session:
        await session.get("http://shop.test/")


def by_aiohttp() -> None:
    asyncio.run(_by_aiohttp())


@pytest.mark.parametrize(
    ("ask", "address"),
    [
        (by_address, "127.0.0.1"),
        (by_name, "shop.test"),
        (by_datagram, "127.0.0.1:9"),
        (by_urllib, "127.0.0.1"),
        (by_aiohttp, "shop.test"),
    ],
)
def test_whoever_asks_the_network_meets_an_error_with_the_address(ask: Any, address: str) -> None:
    with forbidden(__file__) as tries, pytest.raises(NetworkForbidden, match=address):
        ask()
    assert tries.words[0].startswith(address)


def test_a_try_that_is_caught_is_told_with_its_line() -> None:
    with forbidden(__file__) as tries:
        for _ in range(2):
            with pytest.raises(NetworkForbidden):
                by_name()
    [words] = tries.words
    assert words.startswith("shop.test at test_offline.py:")


def test_the_network_is_there_again_afterwards() -> None:
    with forbidden():
        pass
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2], 5) as out:
        assert out.getpeername() == server.getsockname()


def test_a_socket_of_the_machine_is_no_network(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with forbidden():
            client.connect(str(tmp_path / "s"))

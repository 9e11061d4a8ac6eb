"""next_page: each way in which APIs go on, and where it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from scraper import JsonRequest, Request, Response, next_page
from scraper.errors import ParseError, RequestError
from scraper.feeds.paging import link_header

URL = "http://api.test/books?limit=2&q=a%20b"


def page(body: Any, url: str = URL, request: Request | None = None, **headers: str) -> Response:
    request = request or Request(url)
    return Response(request.url, headers=headers, body=json.dumps(body).encode(), request=request)


def url_of(request: Request | None) -> str | None:
    return None if request is None else request.url.removeprefix("http://api.test/books?")


def test_by_cursor() -> None:
    first = page({"meta": {"next": "b&c"}, "rows": [1]})
    assert url_of(next_page(first, cursor="meta.next", param="cursor")) == "limit=2&q=a+b&cursor=b%26c"
    assert url_of(next_page(first, cursor="meta.next")) == "limit=2&q=a+b&next=b%26c"
    for end in ({"meta": {"next": None}}, {"meta": {"next": ""}}, {"meta": {}}, {}, {"meta": [1]}, []):
        assert next_page(page(end), cursor="meta.next") is None
    assert next_page(page({"meta": {"next": "x"}, "rows": []}), cursor="meta.next", items="rows") is None
    again = page({"next": "x"}, "http://api.test/books?next=x")
    assert next_page(again, cursor="next") is None, "a cursor that leads to itself"
    with pytest.raises(ParseError, match="has no cursor at 'meta'"):
        next_page(page({"meta": {"a": 1}}), cursor="meta")


def test_by_number_of_page() -> None:
    assert url_of(next_page(page({"rows": [1]}), page="page", items="rows")) == "limit=2&q=a+b&page=2"
    third = page({"pages": 4}, "http://api.test/books?page=3&x=1")
    assert url_of(next_page(third, page="page", pages="pages")) == "x=1&page=4"
    assert next_page(page({"pages": 4}, "http://api.test/books?page=4"), page="page", pages="pages") is None
    assert next_page(page({"pages": 4}, "http://api.test/books?page=3"), page="page", pages="pages", first=0) is None
    assert next_page(page([]), page="page", items="") is None
    assert next_page(page({"rows": []}), page="page", items="rows") is None
    with pytest.raises(ParseError, match="no number at 'pages'"):
        next_page(page({"pages": "4"}), page="page", pages="pages")


def test_by_offset() -> None:
    assert url_of(next_page(page({}), offset="offset", limit="limit")) == "limit=2&q=a+b&offset=2"
    later = "http://api.test/books?offset=4"
    assert url_of(next_page(page([1, 2, 3], later), offset="offset", items="")) == "offset=7"
    assert url_of(next_page(page({}, later), offset="offset", limit=10)) == "offset=14"
    assert next_page(page({"total": 14}, later), offset="offset", limit=10, total="total") is None
    assert next_page(page([], later), offset="offset", items="") is None
    with pytest.raises(RequestError, match="needs limit"):
        next_page(page({}, later), offset="offset")


def test_by_a_url_in_the_answer() -> None:
    assert url_of(next_page(page({"links": {"next": "?p=2"}}), url="links.next")) == "p=2"
    assert url_of(next_page(page([{"href": "/books?p=3"}]), url="0.href")) == "p=3"
    assert next_page(page({"links": {}}), url="links.next") is None
    assert next_page(page({"next": URL}), url="next") is None
    with pytest.raises(ParseError, match="as its next page, no http"):
        next_page(page({"next": "mailto:x"}), url="next")


def test_by_link_header() -> None:
    header = '<http://api.test/books?p=1>; rel="prev first", <?p=3,4>; title="a, \\"b\\""; REL=next; rel=last'
    assert url_of(next_page(page({}, Link=header))) == "p=3,4"
    assert next_page(page({}, Link='<?p=1>; rel="prev"')) is None
    assert next_page(page({}, Link='<?p=9>; rel="next"; anchor="#other"')) is None, "the next page of something else"
    assert next_page(page({})) is None
    assert next_page(Response(URL, headers={"Link": "<?p=2>; rel=next"}, body=b"<html>")) is not None


def test_link_headers_are_read_as_the_rfc_has_them() -> None:
    assert link_header('<a>; rel="x y"; title="q\\"; , <z>", <b>;rel=next,, <c>') == [
        ("a", {"rel": "x y", "title": 'q"; , <z>'}),
        ("b", {"rel": "next"}),
        ("c", {}),
    ]
    assert link_header("no link") == []


def test_in_a_body() -> None:
    request = JsonRequest("http://api.test/graphql", data={"query": "q", "variables": {"n": 2}})
    following = next_page(page({"end": "é"}, request=request), cursor="end", param="variables.after")
    assert following is not None and following.method == "POST"
    assert json.loads(following.body or b"") == {"query": "q", "variables": {"n": 2, "after": "é"}}
    again = page({"end": "é"}, request=following)
    assert next_page(again, cursor="end", param="variables.after") is None


def test_all_that_belongs_to_the_page_goes_along() -> None:
    request = Request(URL, "parse_api", headers={"X-Key": "k"}, meta={"a": 1}, cb_kwargs={"b": 2}, cookiejar="c")
    following = next_page(page({"n": "2"}, request=request), cursor="n")
    assert following is not None
    assert (following.callback, following.headers, following.meta, following.cb_kwargs, following.options) == (
        "parse_api",
        {"X-Key": "k"},
        {"a": 1},
        {"b": 2},
        {"cookiejar": "c"},
    )
    other = next_page(page({"n": "2"}, request=request), cursor="n", callback="other", priority=3)
    assert other is not None and (other.callback, other.priority) == ("other", 3)


def test_an_answer_in_a_file(tmp_path: Path) -> None:
    response = Response(URL)
    response.file = tmp_path / "answer"
    response.file.write_text('{"next": "b"}')
    assert url_of(next_page(response, cursor="next")) == "limit=2&q=a+b&next=b"


def test_one_way_at_a_time() -> None:
    with pytest.raises(RequestError, match="not cursor and page"):
        next_page(page({}), cursor="a", page="b")

"""FormRequest and JsonRequest: what is sent, what a server reads of it, and what comes back from the store."""

import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from visited import Visited, crawl, spider

from scraper import FormRequest, JsonRequest, Request, Response
from scraper import formdata as module
from scraper.errors import RequestError
from scraper.request import from_json, to_json

URL = "http://h.test/a?old=1"


def again(request: Request) -> Request:
    """As the next process reads it."""
    return from_json(request.url, request.callback, request.priority, request.depth, to_json(request))


@pytest.mark.parametrize(
    ("formdata", "body"),
    [
        ({"a": "1", "b": "x y&z=é"}, "a=1&b=x+y%26z%3D%C3%A9"),
        ([("a", "1"), ("b", "2"), ("a", "3")], "a=1&b=2&a=3"),
        ({"a": ["1", "2"], "b": ()}, "a=1&a=2"),
        ({"a": 1, "b": 2.5, "c": None}, "a=1&b=2.5"),
        ({"a": "~*-._"}, "a=%7E*-._"),
        ({"a": "x\ny\r\nz\r"}, "a=x%0D%0Ay%0D%0Az%0D%0A"),
        ({"a\nb": ""}, "a%0D%0Ab="),
        ({}, ""),
    ],
)
def test_a_form_is_urlencoded(formdata: Any, body: str) -> None:
    post = FormRequest(URL, "parse_it", formdata=formdata)
    assert (post.method, post.url, post.body) == ("POST", URL, body.encode())
    assert post.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    get = FormRequest(URL, formdata=formdata, method="get")
    assert (get.method, get.body) == ("GET", None)
    assert get.url == Request(f"http://h.test/a{'?' * bool(body)}{body}").url


def test_without_formdata_it_is_a_request_like_any_other() -> None:
    assert (FormRequest(URL).method, FormRequest(URL).url) == ("GET", URL)
    assert FormRequest(URL, method="PUT", body="x").body == b"x"


def test_what_is_given_is_kept() -> None:
    request = FormRequest(URL, formdata={"a": "é"}, encoding="latin1", method="PUT", headers={"content-type": "x/y"})
    assert (request.method, request.body, request.headers) == ("PUT", b"a=%E9", {"content-type": "x/y"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"formdata": "a=b"}, "formdata must be a dict, or pairs"),
        ({"formdata": {1: "a"}}, "formdata must be a dict, or pairs"),
        ({"formdata": {"a": True}}, r"formdata\['a'\] is a bool"),
        ({"formdata": {"a": b"x"}}, r"formdata\['a'\] is a bytes"),
        ({"formdata": {"a": {"b": 1}}}, r"formdata\['a'\] is a dict"),
        ({"formdata": {"a": [None]}}, r"formdata\['a'\] is a NoneType"),
        ({"formdata": {}, "body": "x"}, "has a body and formdata"),
        ({"formdata": {}, "enctype": "x/y"}, "enctype of http://h.test/a"),
        ({"files": {"a": 1}}, r"files\['a'\] is a int"),
        ({"files": {"a": ("x", b"", "text/plain\r\nX: y")}}, "the content type"),
        ({"files": {"a": "/no/such/file"}}, r"files\['a'\] cannot be read"),
        ({"files": {"a": ("x", b"y")}, "method": "GET"}, "sends no body, so no files"),
    ],
)
def test_what_cannot_be_sent_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        FormRequest(URL, **arguments)


def test_a_plain_request_says_who_takes_a_form() -> None:
    with pytest.raises(RequestError, match=r"takes no formdata; write FormRequest"):
        Request(URL, formdata={})
    with pytest.raises(RequestError, match=r"takes no json; write JsonRequest"):
        Request(URL, json={})


def test_a_plain_text_form() -> None:
    request = FormRequest(URL, formdata={"a": "x y", "b": "1\n2"}, enctype="text/plain")
    assert (request.body, request.headers) == (b"a=x y\r\nb=1\r\n2\r\n", {"Content-Type": "text/plain"})


NASTY = 'a"b\r\n\\é;.txt'


async def test_a_server_reads_the_files(tmp_path: Path) -> None:
    """aiohttp's server takes the parts apart; the crawl is a real one."""
    parts: list[tuple[str | None, str | None, str | None, bytes]] = []

    async def read(request: web.Request) -> Any:
        async for part in await request.multipart():
            content = bytes(await part.read())  # type: ignore[union-attr, arg-type]
            parts.append((part.name, part.filename, part.headers.get("Content-Type"), content))  # type: ignore[union-attr]
        return "<h1>thanks</h1>"

    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG\r\n\0" + bytes(range(256)))
    files = {"photo": path, "more": [("x.bin", b"--"), ("x", "text", "text/x-own")]}
    async with Visited({"/": read}) as site:
        start = FormRequest(site.url(), formdata={"title": "é\n", "n": [1, 2]}, files=files)
        report = await crawl(spider(start, start_urls=[site.url()]), tmp_path)
    assert report.counts.dead == 0
    assert parts == [
        ("title", None, None, "é\r\n".encode()),
        ("n", None, None, b"1"),
        ("n", None, None, b"2"),
        ("photo", "photo.png", "image/png", path.read_bytes()),
        ("more", "x.bin", "application/octet-stream", b"--"),
        ("more", "x", "text/x-own", b"text"),
    ]


def test_a_name_cannot_break_out_of_its_header() -> None:
    body = FormRequest(URL, formdata={NASTY: "1"}, files={"f": (NASTY, b"")}).body or b""
    assert b'name="a%22b%0D%0A\\\xc3\xa9;.txt"\r\n' in body
    assert b'filename="a%22b%0D%0A\\\xc3\xa9;.txt"\r\n' in body


def test_the_same_files_are_the_same_request_in_every_process() -> None:
    make = "FormRequest('http://h.test/', formdata={'a': 1}, files={'f': ('x', b'abc')}).fingerprint.hex()"
    code = f"from scraper import FormRequest; print({make})"
    prints = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)}
    assert prints == {
        FormRequest("http://h.test/", formdata={"a": 1}, files={"f": ("x", b"abc")}).fingerprint.hex() + "\n"
    }
    assert FormRequest(URL, files={"f": ("x", b"a")}).body != FormRequest(URL, files={"f": ("x", b"b")}).body


def test_a_boundary_is_in_none_of_the_parts() -> None:
    kind = (FormRequest(URL, files={"f": ("x", b"")}).headers or {})["Content-Type"]
    boundary = kind.partition("boundary=")[2]
    assert 20 < len(boundary) <= 70
    # A part that holds the boundary it would get: found by making the hash depend on the number only.
    numbers: list[int] = []

    def hashed(seed: bytes, number: int) -> str:
        numbers.append(number)
        return f"{number:032x}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "xxh3_128_hexdigest", hashed)
        request = FormRequest(URL, files={"f": ("x", f"----scraper{0:032x} ----scraper{1:032x}".encode())})
    assert numbers == [0, 1, 2] and f"{2:032x}" in (request.headers or {})["Content-Type"]


def test_a_body_is_bounded(tmp_path: Path) -> None:
    largest = 16 * 1024 * 1024
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(largest + 1)
    for arguments in (
        {"files": {"f": file}},
        {"files": {"f": ("x", b"x" * largest)}},
        {"files": {"f": [("x", b"x" * (largest // 2))] * 3}},
        {"formdata": {"a": "x" * largest}},
    ):
        with pytest.raises(RequestError, match="stored with its request, so 16,777,216 at most"):
            FormRequest(URL, **arguments)  # type: ignore[arg-type]


def test_a_file_input_of_a_page_takes_a_file() -> None:
    html = (
        b"<form method=post><input name=title value=t><input type=file name=photo><input type=file name=other></form>"
    )
    response = Response(URL, 200, {"Content-Type": "text/html"}, html)
    request = FormRequest.from_response(response, files={"photo": ("p.txt", b"content")})
    body = request.body or b""
    assert (request.headers or {})["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="photo"; filename="p.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n' in body
    assert b'name="other"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n' in body
    assert body.count(b'name="photo"') == 1


def test_values_are_put_in_added_and_taken_away() -> None:
    html = b"<form method=post><input name=a value=1><input name=b value=2><input name=a value=3><input name=c value=4>"
    response = Response(URL, 200, {"Content-Type": "text/html"}, html)
    request = FormRequest.from_response(
        response, "parse_it", formdata={"a": ["x", "y"], "c": None, "d": "new"}, priority=3
    )
    assert (request.body, request.callback, request.priority) == (b"b=2&a=x&a=y&d=new", "parse_it", 3)


@pytest.mark.parametrize(
    ("page", "action", "referer"),
    [
        ("https://user:pw@h.test/a?b", "/x", "https://h.test/a?b"),
        ("https://user:pw@h.test/a?b", "https://other.test/", "https://h.test/"),
        ("https://h.test/a?b", "http://h.test/", None),
        ("http://h.test/a?b", "https://h.test/", "http://h.test/"),
    ],
)
def test_a_form_tells_where_it_comes_from_as_browsers_do(page: str, action: str, referer: str | None) -> None:
    html = f"<form action='{action}'></form>".encode()
    response = Response(page, 200, {"Content-Type": "text/html"}, html)
    assert (FormRequest.from_response(response).headers or {}).get("Referer") == referer
    assert FormRequest.from_response(response, headers={"referer": "x"}).headers == {"referer": "x"}


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"a": [1, None, "é"]}, '{"a":[1,null,"é"]}'),
        ([], "[]"),
        (0, "0"),
        ("", '""'),
        (Point(1), '{"x":1}'),
        (datetime.date(2020, 1, 2), '"2020-01-02"'),
    ],
)
def test_json_is_posted(data: Any, body: str) -> None:
    request = JsonRequest(URL, data=data)
    assert (request.method, request.body) == ("POST", body.encode())
    assert request.headers == {"Content-Type": "application/json", "Accept": "application/json, */*;q=0.5"}


def test_json_may_be_asked_for_or_sent_otherwise() -> None:
    assert JsonRequest(URL).method == "GET" and JsonRequest(URL).body is None
    assert JsonRequest(URL).headers == {"Accept": "application/json, */*;q=0.5"}
    request = JsonRequest(URL, data=1, method="put", headers={"accept": "a/b", "CONTENT-TYPE": "c/d"})
    assert (request.method, request.headers) == ("PUT", {"accept": "a/b", "CONTENT-TYPE": "c/d"})


def test_what_is_no_json_is_refused() -> None:
    itself: list[Any] = []
    itself.append(itself)
    for data in (object(), {1, object()}, itself):
        with pytest.raises(RequestError, match="cannot be written as JSON"):
            JsonRequest(URL, data=data)
    with pytest.raises(RequestError, match="has a body and data"):
        JsonRequest(URL, data=1, body="2")


EVERY = (
    FormRequest(URL, "a", formdata={"a": "é"}, meta={"m": 1}, priority=2, cookiejar="j", auth="a:b", proxy=""),
    FormRequest(URL, files={"f": ("x", bytes(range(256)))}, dont_filter=True, resend=True, cookies=False),
    JsonRequest(URL, data={"a": 1}, errback="failed", cb_kwargs={"k": 1}, cookies={"c": "d"}, obey_robots=False),
)


@pytest.mark.parametrize("request_", EVERY)
def test_all_of_it_comes_back_from_the_store(request_: Request) -> None:
    back = again(request_)
    for name in (*(each.lstrip("_") for each in Request.__slots__), "fingerprint"):
        assert getattr(back, name) == getattr(request_, name), name


@pytest.mark.parametrize("request_", EVERY)
def test_a_copy_is_of_the_same_kind(request_: Request) -> None:
    copy = request_.replace(priority=9)
    assert (type(copy), copy.priority) == (type(request_), 9)
    for name in ("url", "method", "body", "headers", "cookies", "options", "meta", "cb_kwargs", "errback"):
        assert getattr(copy, name) == getattr(request_, name), name


def test_a_copy_may_have_another_body() -> None:
    form = FormRequest(URL, formdata={"a": 1}, headers={"X": "y"})
    assert form.replace(formdata={"b": 2}).body == b"b=2"
    upload = form.replace(files={"f": ("x", b"1")})
    assert (
        upload.headers is not None
        and upload.headers["Content-Type"].startswith("multipart")
        and upload.headers["X"] == "y"
    )
    query = FormRequest(URL, formdata={"a": 1}, method="GET").replace(formdata={"b": 2})
    assert (query.method, query.url) == ("GET", "http://h.test/a?b=2")
    json = JsonRequest(URL, data=1, method="PUT").replace(data=[2])
    assert (json.method, json.body) == ("PUT", b"[2]")
    with pytest.raises(RequestError, match=r"JsonRequest.replace\(\) knows no argument formdata"):
        json.replace(formdata={})


def test_another_jar_is_another_page() -> None:
    plain, common = Request(URL), Request(URL, cookiejar="")
    one, two = Request(URL, cookiejar="one"), Request(URL, cookiejar="two")
    assert plain.fingerprint == common.fingerprint
    assert len({plain.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert again(one).fingerprint == one.fingerprint

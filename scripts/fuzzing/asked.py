"""What is fuzzed of the requests we make: forms of pages, curl commands, proxies, and jars that servers fill."""

from __future__ import annotations

from contextlib import suppress

from child import Target
from hypothesis import strategies as st
from pieces import COOKIES, SHELL, URLS, a_form, made, words

from scraper.bodies import FormRequest
from scraper.errors import ParseError, RedirectError, RequestError
from scraper.jars import Jars
from scraper.proxy import parse_proxy
from scraper.refresh import refreshed
from scraper.request import Request, from_json, to_json
from scraper.response import Response
from scraper.url import canonical

HERE = "https://www.example.com/a/b?c"
SPLIT = b"\x1e"
FORM_TYPES = (
    "text/html",
    "text/html; charset=gbk",
    "text/html; charset=utf-16",
    "text/html; charset=iso-2022-jp",
    "text/html; charset=x-user-defined",
    "text/html; charset=windows-1252",
)


def text_of(data: bytes) -> str:
    """With lone surrogates: people read files and environments that way."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def is_stored(request: Request) -> None:
    """What can be asked for can be stored, and comes back as it was."""
    assert canonical(request.url) == request.url, request.url
    back = from_json(request.url, None, 0, 0, to_json(request))
    for name in ("method", "url", "body", "headers", "cookies", "options"):
        assert (getattr(back, name) or None) == (getattr(request, name) or None), name


def form(data: bytes) -> None:
    """A page and the first byte: how it is declared, what is given."""
    first, page = data[0] if data else 0, data[1:]
    response = Response(HERE, headers={"Content-Type": FORM_TYPES[first % len(FORM_TYPES)]}, body=page)
    own = text_of(page[-6:])
    for number, formdata, files, plain in (
        (0, None, None, False),
        (-1, {"a": own, own: [1, 2.5]}, None, True),
        (1, {"a": None}, {"f": (own, b"x", "text/plain"), own: (own, page[:50])}, False),
    ):
        try:
            request = FormRequest.from_response(
                response, formnumber=number, formdata=formdata, files=files, dont_click=plain
            )
        except (ParseError, RequestError) as error:
            assert str(error)
        else:
            is_stored(request)
    with suppress(RedirectError):
        found = refreshed(response, 3)
        if found is not None:
            is_stored(found)


def curl(data: bytes) -> None:
    """Read, written, and read again it is the same request."""
    command = text_of(data)
    for pass_over in (True, False):
        try:
            request = Request.from_curl(command, ignore_unknown_options=pass_over)
        except RequestError as error:
            assert str(error)
            continue
        with suppress(RequestError):  # no command line holds NUL bytes
            again = Request.from_curl(request.to_curl(secrets=True))
            assert (again.url, again.body or None, again.method) == (request.url, request.body or None, request.method)
        with suppress(RequestError):  # nor is everything text
            is_stored(request)


def proxy(data: bytes) -> None:
    text = text_of(data)
    try:
        found = parse_proxy(text)
    except ValueError as error:
        assert not isinstance(error, UnicodeError)
        told = str(error)
    else:
        assert found.host and 0 < found.port < 65536
        told = found.name
    user, _, host = text.rpartition("@")
    shown, mark, rest = user.partition("://")
    if "S3cret" in (rest if mark else user) and "S3cret" not in host + (shown if mark else ""):
        assert "S3cret" not in told


class Now:
    """A clock that stands."""

    @staticmethod
    def time() -> float:
        return 1_700_000_000.0

    monotonic = time


def jars(data: bytes) -> None:
    """Nobody else gets them, no header breaks its line, and they come back as they were from the database."""
    lines = [line.decode("utf-8", "surrogateescape") for line in data.split(SPLIT)]
    ours = Jars(Now(), 1)  # type: ignore[arg-type]
    ours.keep(HERE, lines)
    ours.keep("http://example.com/", lines[::-1])
    ours.keep("https://127.0.0.1/", lines, "named")
    back = Jars(Now(), 1)  # type: ignore[arg-type]
    back.load([note for note in ours.notes() if note.value is not None])
    assert len(back) == len(ours)
    for url in (HERE, "http://www.example.com/a/b/c", "https://example.com/", "https://x.example.com/a"):
        header = ours.header(url)
        assert back.header(url) == header
        assert not set("\r\n\0") & set(header)
        for each in lines:
            if url.startswith("http:") and each.lower().startswith(("__host-", "__secure-")):
                assert each.partition(";")[0] not in header
    for url in ("https://example.org/a/b", "https://com/", "https://notexample.com/", "https://127.0.0.1/"):
        assert ours.header(url) == ""


COMMAND = (
    b"curl 'https://h.test/a?b=1' -X PUT -H 'A: b' -H 'Authorization: S3cret' -u u:S3cret -b 'c=S3cret' -d 'x=1&y=2'"
)
PAGE = (
    b"\0<form method=post enctype=multipart/form-data><input name=a value=1><input type=file name=f><select name=s>"
    b"<option selected>x</select><fieldset disabled><legend><input name=l></legend></fieldset><button name=go></form>"
    b"<form action=/2 accept-charset=gbk><input type=hidden name=_charset_><textarea name=a dirname=d>\xe9</textarea>"
)

ASKED = [
    Target("form", st.tuples(st.binary(min_size=1, max_size=1), made(a_form)).map(b"".join), form, (PAGE,)),
    Target("curl", words(SHELL, most=16).map(b"curl ".__add__), curl, (COMMAND,)),
    Target("proxy", words([*URLS, "S3cret", "u", "@"], most=6), proxy, (b"socks5://u:S3cret@h:1", b"http://h/p@x")),
    Target("jars", words(COOKIES, most=20), jars, (b"a=1; Path=/a",)),
]

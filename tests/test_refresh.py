"""Pages that send their reader on: parsed as browsers do, followed like a redirect when that is asked for."""

from typing import Any

import pytest
from crawling import Bench, follow, spider
from steps import lines_of

from scraper import refresh
from scraper.errors import RedirectError
from scraper.refresh import LONGEST_WAIT, parse_refresh, refreshed
from scraper.request import Request
from scraper.response import Response

URL = "http://h.test/shop/a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0; url=/b", (0, "/b")),
        ("5;URL='/b'", (5, "/b")),
        ('5;url="/b"x', (5, "/b")),
        ("5;url='/b", (5, "/b")),
        ("5,/b", (5, "/b")),
        ("5 /b", (5, "/b")),
        ("5 ; url = /b c ", (5, "/b c ")),
        ("  7\n;\turl=/b", (7, "/b")),
        ("1.9; url=/b", (1, "/b")),
        (".5; /b", (0, "/b")),
        ("5; '/b'", (5, "/b")),
        ("5; url", (5, "url")),
        ("5; url/b", (5, "url/b")),
        ("5; urn:x", (5, "urn:x")),
        ("5;", (5, "")),
        ("5", (5, "")),
        ("5;url=", (5, "")),
        ("5;;url=/b", (5, ";url=/b")),
        ("9" * 30 + ";url=/b", (999_999_999, "/b")),
        ("", None),
        ("x", None),
        ("url=/b", None),
        ("; url=/b", None),
        ("-1; url=/b", None),
        ("5x; url=/b", None),
        ("5/b", None),
        ("\u0665;url=/b", None),
    ],
)
def test_what_a_refresh_says(text: str, found: tuple[int, str] | None) -> None:
    assert parse_refresh(text) == found


def meta(content: str, around: str = "{}") -> str:
    return "<p>wait</p>" + around.format(f'<meta HTTP-EQUIV=" "><META http-equiv="Refresh" content="{content}">')


def page(html: str, headers: dict[str, str] | None = None, encoding: str = "utf-8", **options: Any) -> Response:
    headers = {"Content-Type": f"text/html; charset={encoding}", **(headers or {})}
    return Response(URL, 200, headers, html.encode(encoding), Request(URL, **options))


def target(response: Response) -> str | None:
    found = refreshed(response, 20)
    return found.url if found is not None else None


@pytest.mark.parametrize(
    ("response", "url"),
    [
        (page(meta("0;url=b")), "http://h.test/shop/b"),
        (page(meta("0;url=b") + '<base href="http://base.test/">'), "http://base.test/b"),
        (page(meta("0;url=b") + meta("0;url=c")), "http://h.test/shop/b"),
        (page(meta("nonsense") + meta("0;url=c")), "http://h.test/shop/c"),
        (page(meta("0;url=/b"), encoding="utf-16"), "http://h.test/b"),
        (page("", {"Refresh": "3; /b"}), "http://h.test/b"),
        (page(meta("0;url=/c"), {"Refresh": "0; /b"}), "http://h.test/b"),
        (page(meta(f"{LONGEST_WAIT};url=/b")), "http://h.test/b"),
        (page(meta(f"{LONGEST_WAIT + 1};url=/b")), None),
        (page(meta("0;url=/b", "<noscript>{}</noscript>")), None),
        (page(meta("0;url=/b", "<noscript><div>{}</div></noscript>") + meta("0;url=/c")), "http://h.test/c"),
        (page(meta("0;url=/b", "<template>{}</template>")), None),
        (page(meta("0;url=/b", "<!-- {} -->")), None),
        (page(meta("300")), None),
        (page(meta(f"0;url={URL}")), None),
        (page(meta("0;url=#top")), None),
        (page(meta("0;url=javascript:x()")), None),
        (page(meta("0;url=mailto:a@b")), None),
        (page(meta("0;url=http://[")), None),
        (page('<meta name="refresh" content="0;url=/b">'), None),
        (page('<meta http-equiv="refresh">'), None),
        (page("<div>" * 100_000 + meta("0;url=/b")), None),
        (page("x" + meta("0;url=/b"), {"Content-Type": "text/css"}), None),
        (page("nothing"), None),
    ],
)
def test_where_a_page_leads(response: Response, url: str | None) -> None:
    assert target(response) == url


def test_it_becomes_a_get_and_keeps_what_belongs_to_the_request() -> None:
    response = page(meta("0;url=http://other.test/"), method="POST", body="x", auth="a:b", cookiejar="j", meta={"a": 1})
    response.request.headers = {"Content-Type": "x/y", "Authorization": "s", "Accept": "z"}
    new = refreshed(response, 20)
    assert new is not None
    assert (new.method, new.body, new.headers) == ("GET", None, {"Accept": "z"})
    assert (new.options, new.meta, new.trail) == ({"cookiejar": "j"}, {"a": 1}, (URL,))
    with pytest.raises(RedirectError):
        refreshed(response, 0)


PAGES = {"": meta("0;url=/next"), "next": "<h1>here</h1>"}


async def test_a_refresh_is_a_redirect_when_asked_for() -> None:
    bench = Bench(spider(parse=follow), PAGES, meta_refresh=True)
    await bench.run()
    assert bench.asked == ["", "next"]
    assert [item.data["url"] for item in await bench.items()] == ["http://h.test/next"]
    assert (await bench.pages())[""].reason == "redirect"


async def test_a_refresh_is_a_page_when_not_asked_for() -> None:
    bench = Bench(spider(parse=follow), PAGES)
    await bench.run()
    assert bench.asked == [""]
    assert [item.data["url"] for item in await bench.items()] == ["http://h.test/"]


async def test_two_pages_that_lead_to_each_other_end_at_the_hop_limit() -> None:
    bench = Bench(
        spider(parse=follow), {"": meta("0;url=/b"), "b": meta("0;url=/")}, meta_refresh=True, max_redirects=5
    )
    await bench.run()
    assert len(bench.asked) == 6
    assert "dead" in (await bench.states()).values()
    assert await bench.items() == []


def test_many_of_them_deep_down_are_not_each_a_walk_to_the_root() -> None:
    html = "<body><noscript>" + "<span>" * 1000 + "<meta http-equiv=refresh content='0;url=/b'>" * 1000
    response = Response(URL, 200, {"Content-Type": "text/html"}, html.encode())
    assert response.tree.css("noscript meta")
    assert 0 < lines_of(refresh, lambda: refreshed(response, 20)) < 50_000
    assert refreshed(response, 20) is None

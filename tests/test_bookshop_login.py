"""The demo site's login: nothing private without a session, no session without the visitor's own token."""

import io
from collections.abc import AsyncIterator
from html import unescape

import aiohttp
import pytest
from selectolax.lexbor import LexborHTMLParser
from shopping import open_shop

from scraper.testing.bookshop import PASSWORD, USER, orders
from scraper.testing.bookshop_login import SESSIONS, Accounts

RIGHT = {"username": USER, "password": PASSWORD}


@pytest.fixture
async def shop() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_shop() as client:
        yield client


async def form(shop: aiohttp.ClientSession, path: str = "/login") -> dict[str, str]:
    """What a browser would send of the form before anything is typed."""
    async with shop.get(path) as answer:
        assert answer.status == 200
        tree = LexborHTMLParser(await answer.text())
    [found] = tree.css("form")
    assert (found.attributes["method"], found.attributes["action"], found.attributes["id"]) == (
        "post",
        "login",
        "login",
    )
    return {field.attributes["name"] or "": field.attributes.get("value") or "" for field in found.css("input")}


async def log_in(shop: aiohttp.ClientSession) -> None:
    async with shop.post("/login", data=await form(shop) | RIGHT, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/account")


async def test_a_reader_logs_in_and_sees_the_orders(shop: aiohttp.ClientSession) -> None:
    async with shop.get("/login") as answer:
        assert answer.headers["Cache-Control"] == "no-store" and "ETag" not in answer.headers
        cookie = answer.cookies["shop_session"]
        assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/", True, "Lax")
        assert f"<kbd>{USER}</kbd>" in (text := await answer.text()) and f"<kbd>{PASSWORD}</kbd>" in text
    async with shop.post("/login", data=await form(shop) | RIGHT, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/account")
        assert answer.cookies["shop_session"].value != cookie.value  # another one than before the login
    async with shop.get("/account", allow_redirects=False) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Hello" in await answer.text()


async def test_orders_are_those_of_the_stock(shop: aiohttp.ClientSession) -> None:
    await log_in(shop)
    numbers, path = [], "/account/orders"
    while path:
        async with shop.get(path) as answer:
            tree = LexborHTMLParser(await answer.text())
        numbers += [int(node.text()) for node in tree.css("tr.order a")]
        following = tree.css_first("li.next a")
        path = f"/account/orders{following.attributes['href']}" if following is not None else ""
    assert numbers == [order.number for order in reversed(orders())]
    assert len(numbers) == len(set(numbers)) == 24
    for order in orders():
        async with shop.get(order.path) as answer:
            tree = LexborHTMLParser(unescape(await answer.text()))
        titles = [node.text() for node in tree.css("tr.line a")]
        copies = [int(node.text()) for node in tree.css("td.copies")]
        prices = [float(node.text().lstrip("£")) for node in tree.css("tr.line .price_color")]
        assert titles == [book.title for book, _ in order.lines]
        assert copies == [number for _, number in order.lines]
        total = tree.css_first("p.total")
        assert total is not None
        assert total.text() == f"£{sum(price * number for price, number in zip(prices, copies, strict=True)):.2f}"


@pytest.mark.parametrize("path", ["/account", "/account/orders", "/account/orders/5001", "/account/nowhere"])
async def test_what_is_private_leads_to_the_form_and_back(shop: aiohttp.ClientSession, path: str) -> None:
    async with shop.get(path, allow_redirects=False) as answer:
        assert answer.status == 302
        assert await answer.read() == b""
        form_path = answer.headers["Location"]
    assert form_path.startswith("/login?next=/account")
    async with shop.post("/login", data=await form(shop, form_path) | RIGHT, allow_redirects=False) as answer:
        assert answer.headers["Location"] == (path if "nowhere" not in path else "/account")
    async with shop.get(path) as answer:
        assert answer.status == (404 if "nowhere" in path else 200)


async def test_a_token_that_is_missing_wrong_or_anothers_is_403(shop: aiohttp.ClientSession) -> None:
    fields = await form(shop)
    async with open_shop() as other:
        await form(other)  # counts its visitors from 1, as ours does,
        theirs = (await form(other), other.cookie_jar.clear(), await form(other))[-1]["csrf_token"]  # so: the second
    none = {name: value for name, value in fields.items() if name != "csrf_token"}
    for spoilt in (none, fields | {"csrf_token": ""}, fields | {"csrf_token": "é"}, fields | {"csrf_token": theirs}):
        async with shop.post("/login", data=spoilt | RIGHT, allow_redirects=False) as answer:
            assert answer.status == 403
            assert "token" in await answer.text()
    async with shop.post("/login", json=fields | RIGHT, allow_redirects=False) as answer:
        assert answer.status == 403  # JSON is no form
    async with shop.post(
        "/login", data=fields | RIGHT, cookies={"shop_session": "mine"}, allow_redirects=False
    ) as answer:
        assert answer.status == 403
    shop.cookie_jar.clear()
    async with shop.post("/login", data=fields | RIGHT, allow_redirects=False) as answer:
        assert answer.status == 403  # the right token, but whose?
    async with shop.get("/account", allow_redirects=False) as answer:
        assert answer.status == 302


@pytest.mark.parametrize("wrong", [{"password": "x"}, {"username": "READER"}, {"username": ""}])
async def test_a_wrong_password_shows_the_form_again(shop: aiohttp.ClientSession, wrong: dict[str, str]) -> None:
    fields = await form(shop)
    async with shop.post("/login", data=fields | RIGHT | wrong, allow_redirects=False) as answer:
        assert answer.status == 200
        tree = LexborHTMLParser(await answer.text())
    error = tree.css_first("p.error[role=alert]")
    assert error is not None and "do not go together" in error.text()
    again = {node.attributes["name"]: node.attributes.get("value") for node in tree.css("form input[type=hidden]")}
    assert again == {name: fields[name] for name in ("csrf_token", "next")}
    async with shop.get("/account", allow_redirects=False) as answer:
        assert answer.status == 302


async def test_logging_out_ends_the_session(shop: aiohttp.ClientSession) -> None:
    await log_in(shop)
    [cookie] = [each.value for each in shop.cookie_jar]
    async with shop.get("/robots.txt") as answer:
        assert "Disallow: /logout\n" in await answer.text()
    async with shop.get("/account") as answer:
        assert 'href="logout"' in await answer.text()
    async with shop.get("/logout", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert not list(shop.cookie_jar)
    async with shop.get("/account", cookies={"shop_session": cookie}, allow_redirects=False) as answer:
        assert answer.status == 302  # nor does the old cookie help


@pytest.mark.parametrize(
    "aim", ["//evil.test/", "http://evil.test/", "/account/../logout", "/account\r\nX: y", "/", ""]
)
async def test_the_form_leads_nowhere_else(shop: aiohttp.ClientSession, aim: str) -> None:
    fields = await form(shop) | {"next": aim}
    async with shop.post("/login", data=fields | RIGHT, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/account")


async def test_methods_and_broken_forms(shop: aiohttp.ClientSession) -> None:
    async with shop.put("/login") as answer:
        assert (answer.status, sorted(answer.headers["Allow"].split(","))) == (405, ["GET", "HEAD", "POST"])
    async with shop.post("/account") as answer:
        assert answer.status == 405
    async with shop.head("/login") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    broken = {"Content-Type": "multipart/form-data"}  # which needs a boundary
    async with shop.post("/login", data=b"x", headers=broken) as answer:
        assert answer.status == 400
    large, plain = io.BytesIO(b"username=" + b"x" * 2_000_000), {"Content-Type": "application/x-www-form-urlencoded"}
    async with shop.post("/login", data=large, headers=plain) as answer:
        assert answer.status == 413


def test_sessions_are_counted_and_bounded() -> None:
    def one_more(accounts: Accounts) -> tuple[str, str]:
        """The cookies before and after a login."""
        before = cookie(accounts.visit("/login", {}, "").headers)
        page = accounts.visit("/login", {}, before)
        token = LexborHTMLParser(page.body).css_first("[name=csrf_token]")
        assert token is not None
        after = accounts.login({"csrf_token": token.attributes["value"] or "", **RIGHT}, before)
        assert after.status == 303
        return before, cookie(after.headers)

    def cookie(headers: tuple[tuple[str, str], ...]) -> str:
        return dict(headers)["Set-Cookie"].partition(";")[0].partition("=")[2]

    one, two = Accounts(), Accounts()
    first = one_more(one)
    assert first == one_more(two)
    second = one_more(one)
    assert not set(second) & set(first)
    for _ in range(SESSIONS - 2):
        one_more(one)
    assert one.visit("/account", {}, first[1]).status == 200
    one_more(one)
    assert one.visit("/account", {}, first[1]).status == 302  # the oldest gave way
    assert one.visit("/account", {}, second[1]).status == 200

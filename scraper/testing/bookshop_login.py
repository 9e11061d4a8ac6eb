"""The demo bookshop's reader accounts: a login form with a CSRF token, a session cookie, and the reader's orders.

A token belongs to the visitor's cookie and is computed from it, so only who is logged in takes memory: a thousand
sessions at most, the oldest gives way. Sessions are counted, not drawn, and so are the same in every test.
"""

import hashlib
import hmac
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from html import escape
from typing import Final

from scraper.testing.bookshop_pages import HTML, Page, frame, link
from scraper.testing.bookshop_stock import CHANGED, SEED, BookRecord, stock

USER: Final = "reader"
PASSWORD: Final = "bookworm"
COOKIE: Final = "shop_session"
SESSIONS: Final = 1000
ORDERS: Final = 24
PER_PAGE: Final = 10
PRIVATE: Final = (("Cache-Control", "no-store"),)


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order of the demo's reader: the truth for a crawl behind the login."""

    number: int
    """5001 and up, oldest first."""
    placed: datetime
    lines: tuple[tuple[BookRecord, int], ...]
    """Each book with how many copies of it, 1 to 3."""

    @property
    def path(self) -> str:
        """Path of the order's page."""
        return f"/account/orders/{self.number}"

    @property
    def total(self) -> float:
        """Pounds."""
        return round(sum(book.price * copies for book, copies in self.lines), 2)


@cache
def orders() -> tuple[OrderRecord, ...]:
    """The 24 orders of the reader, oldest first: made from the stock, the same everywhere."""
    rng = random.Random(f"{SEED} orders")
    found = []
    for index in range(ORDERS):
        chosen = {int(rng.random() * len(stock())) for _ in range(1 + int(rng.random() * 4))}
        lines = tuple((stock()[each], 1 + int(rng.random() * 3)) for each in sorted(chosen))
        found.append(OrderRecord(5001 + index, CHANGED - timedelta(days=9 * (ORDERS - index)), lines))
    return tuple(found)


class Accounts:
    """Who is logged in. One for each server; what it says depends on what it was asked before, and on nothing else."""

    def __init__(self) -> None:
        self._given = 0
        self._open: dict[str, None] = {}  # sessions that are logged in, oldest first

    def visit(self, path: str, query: Mapping[str, str], cookie: str) -> Page:
        """A GET of `/login`, `/logout`, `/account` and all below it; `cookie` is the visitor's session, or empty.

        Without a session, what is private leads to the form (302), and the form leads back to it.
        """
        if path == "/login":
            return self._form(cookie, _inside(query.get("next", "")))
        if path == "/logout":
            self._open.pop(cookie, None)
            return Page(303, HTML, b"", (("Location", "/login"), _set_cookie("", "; Max-Age=0"), *PRIVATE))
        if cookie not in self._open:
            return Page(302, HTML, b"", (("Location", f"/login?next={_inside(path)}"), *PRIVATE))
        if path == "/account":
            return _private(200, path, "Your account", _account(path))
        if path == "/account/orders":
            number = query.get("page", "1")
            if number in map(str, range(1, -(-ORDERS // PER_PAGE) + 1)):
                return _private(200, path, "Your orders", _orders(path, int(number)))
        for order in orders():
            if order.path == path:
                return _private(200, path, f"Order {order.number}", _order(order))
        return _private(404, path, "No such page", "<h1>No such page</h1>")

    def login(self, form: Mapping[str, str], cookie: str) -> Page:
        """The form, sent: 303 and a new session cookie, 403 for a token that is not this visitor's, and for a wrong
        name or password the form again, with status 200 as most sites have it."""
        token = form.get("csrf_token", "").encode()
        if not hmac.compare_digest(_token(cookie).encode(), token):
            text = "<h1>Forbidden</h1>\n<p>The token is missing or not yours: go back to the form and send that.</p>"
            return _private(403, "/login", "Forbidden", text)
        following = _inside(form.get("next", ""))
        if (form.get("username"), form.get("password")) != (USER, PASSWORD):
            return self._form(cookie, following, "This name and password do not go together.")
        session = self._session()
        self._open[session] = None
        if len(self._open) > SESSIONS:
            del self._open[next(iter(self._open))]
        return Page(303, HTML, b"", (("Location", following), _set_cookie(session), *PRIVATE))

    def _form(self, cookie: str, following: str, error: str = "") -> Page:
        known = _SESSION.fullmatch(cookie) is not None
        session = cookie if known else self._session()
        told = f'<p class="error" role="alert">{escape(error)}</p>\n' if error else ""
        content = (
            f"<h1>Log in</h1>\n{told}"
            '<form id="login" action="login" method="post">\n'
            f'<input type="hidden" name="csrf_token" value="{_token(session)}">\n'
            f'<input type="hidden" name="next" value="{following}">\n'
            '<label>Name <input name="username" autocomplete="username"></label>\n'
            '<label>Password <input type="password" name="password" autocomplete="current-password"></label>\n'
            '<button type="submit" name="action" value="login">Log in</button>\n</form>\n'
            f'<p class="hint">The only reader is <kbd>{USER}</kbd>, the password <kbd>{PASSWORD}</kbd>.</p>'
        )
        body = frame("/login", "Log in", "", '<li class="active">Log in</li>', content)
        return Page(200, HTML, body, PRIVATE if known else (_set_cookie(session), *PRIVATE))

    def _session(self) -> str:
        self._given += 1
        return hashlib.blake2b(f"{SEED} session {self._given}".encode(), digest_size=16).hexdigest()


def _account(path: str) -> str:
    return (
        f'<h1>Hello, <span class="reader">{USER}</span></h1>\n'
        f'<p><a class="orders" href="{link(path, "/account/orders")}">Your {ORDERS} orders</a></p>\n'
        f'<p><a class="logout" href="{link(path, "/logout")}">Log out</a></p>'
    )


def _orders(path: str, number: int) -> str:
    """Newest first, ten on a page."""
    start = (number - 1) * PER_PAGE
    shown = list(reversed(orders()))[start : start + PER_PAGE]
    rows = "".join(
        f'<tr class="order"><td><a href="{link(path, order.path)}">{order.number}</a></td>'
        f'<td><time datetime="{order.placed.isoformat()}">{order.placed:%d %B %Y}</time></td>'
        f'<td class="price_color">£{order.total:.2f}</td></tr>\n'
        for order in shown
    )
    steps = f'<li class="next"><a href="?page={number + 1}">next</a></li>' if start + PER_PAGE < ORDERS else ""
    return (
        f'<h1>Your orders</h1>\n<table class="orders">\n{rows}</table>\n<ul class="pager">{steps}</ul>\n'
        f'<p><a class="logout" href="{link(path, "/logout")}">Log out</a></p>'
    )


def _order(order: OrderRecord) -> str:
    rows = "".join(
        f'<tr class="line"><td><a href="{link(order.path, book.path)}">{escape(book.title)}</a></td>'
        f'<td class="copies">{copies}</td><td class="price_color">£{book.price:.2f}</td></tr>\n'
        for book, copies in order.lines
    )
    return (
        f'<h1>Order <span class="number">{order.number}</span></h1>\n'
        f'<time datetime="{order.placed.isoformat()}">{order.placed:%d %B %Y}</time>\n'
        f'<table class="lines">\n{rows}</table>\n<p class="total">£{order.total:.2f}</p>'
    )


def _private(status: int, path: str, title: str, content: str) -> Page:
    return Page(status, HTML, frame(path, title, "", f'<li class="active">{title}</li>', content), PRIVATE)


def _set_cookie(session: str, more: str = "") -> tuple[str, str]:
    return ("Set-Cookie", f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax{more}")


def _token(session: str) -> str:
    return hashlib.blake2b(session.encode(), key=SEED.encode(), digest_size=16).hexdigest()


def _inside(path: str) -> str:
    """Where the login leads: a page of the account, never another site."""
    return path if _ACCOUNT.fullmatch(path) else "/account"


_SESSION: Final = re.compile(r"[0-9a-f]{32}")
_ACCOUNT: Final = re.compile(r"/account(/orders(/\d{1,9})?)?", re.ASCII)

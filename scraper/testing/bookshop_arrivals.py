"""The demo bookshop's new arrivals: newest first, for spiders that stop at what they know."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import islice
from urllib.parse import urlencode

from scraper.testing.bookshop_pages import HTML, PER_PAGE, Page, frame, link
from scraper.testing.bookshop_stock import BookRecord, stock


def arrivals(path: str, query: Mapping[str, str], count: int) -> Page:
    """Twenty of the first `count` books, newest first, with their ids and when they came in.

    `since=` (an id or an ISO date) leaves out what is not newer. The link to older ones, `a.older`, says before
    which id they begin instead of a page number, so that nothing is missed or met twice when books come in between.
    400 for a value that is neither.
    """
    since, before = query.get("since", "0"), query.get("before", str(len(stock()) + 1))
    newer = _newer(since)
    if newer is None or not _number(before):
        wrong = f"since={since}" if newer is None else f"before={before}"
        content = f"<h1>Not understood</h1>\n<p>{escape(wrong)}: since is an id or a date, before an id.</p>"
        return Page(400, HTML, frame(path, "Not understood", "", '<li class="active">New</li>', content))
    found = (book for book in reversed(stock()[:count]) if book.id < int(before) and book.id > newer)
    shown = list(islice(found, PER_PAGE))
    older = ""
    if shown and next(found, None) is not None:
        onward = urlencode(({"since": since} if newer else {}) | {"before": shown[-1].id})
        older = f'<ul class="pager"><li><a class="older" href="?{escape(onward)}">older</a></li></ul>'
    content = (
        '<div class="page-header action"><h1>New arrivals</h1></div>\n'
        f'<ol class="arrivals">\n{_rows(path, shown)}</ol>\n{older}'
    )
    return Page(200, HTML, frame(path, "New arrivals", "", '<li class="active">New</li>', content))


def _rows(path: str, shown: Sequence[BookRecord]) -> str:
    return "".join(
        f'<li class="arrival" data-id="{book.id}"><a href="{link(path, book.path)}">{escape(book.title)}</a> '
        f'<time datetime="{book.added.isoformat()}">{book.added:%d %B %Y}</time> '
        f'<span class="price_color">£{book.price:.2f}</span></li>\n'
        for book in shown
    )


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _newer(since: str) -> int | None:
    """The id above which books are newer than `since`; None when it means nothing."""
    if _number(since):
        return int(since)
    try:
        date = datetime.fromisoformat(since)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return sum(book.added <= date for book in stock())  # they came in by the order of their ids

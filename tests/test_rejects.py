"""Items that could not be stored are told: in the log, in the summary, by the exit code and by ``scraper items``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, events

from scraper import Request, Response
from scraper.expect import judge, parse
from scraper.item import to_item
from scraper.log import configure
from scraper.page import Done, Figures, Found, Lease, Receipt, Reject, Seen, Verdict
from scraper.stats import Stats

SPIDER = """
from dataclasses import dataclass
from scraper import Spider

@dataclass
class Price:
    amount: float

class Wrong(Spider):
    def __init__(self, start: str, good: bool = False) -> None:
        self.start_urls = [start]
        self.good = good

    def parse(self, response):
        for link in response.css("article.product_pod h3 a")[:3]:
            yield {"title": response.css("h1")}
        for price in ("£1", "£2"):
            yield Price(price)
        if self.good:
            yield Price("1.5")
"""
TITLE = (
    "item: title: a SelectorList cannot be stored as JSON; "
    ".get() is the text of the first match, .getall() those of all"
)


@pytest.fixture
def wrong(tmp_path: Path) -> None:
    (tmp_path / "spiders").mkdir()
    (tmp_path / "spiders" / "wrong.py").write_text(SPIDER)


@pytest.mark.usefixtures("wrong")
def test_a_crawl_whose_items_are_all_rejected_fails_and_says_why(cli: Cli, here: Cli, bookshop_url: str) -> None:
    done = cli("crawl", "wrong", "-a", f"start={bookshop_url}")
    assert done.returncode == 3
    warned = [each for each in events(done.stderr) if each["event"] == "item_rejected"]
    assert [(each["kind"], each["url"], each["level"]) for each in warned] == [
        ("item", bookshop_url, "warning"),
        ("price", bookshop_url, "warning"),
    ]
    assert [f"{each['kind']}: {each['reason']}" for each in warned] == [TITLE, "price: amount: '£1' (str) is not float"]
    end = next(each for each in events(done.stderr) if each["event"] == "crawl_finished")
    assert [*end["rejected_by"].items()] == [(TITLE, 3), ("price: amount: '£1' (str) is not float", 2)]
    assert "Rule not met: items >= 1; found 0 (all 5 were rejected)" in done.stderr
    assert f"Items rejected by: {TITLE} (3); price: " in done.stderr

    shown = here("items", "wrong")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == (
        f"no items in data/wrong.db; 5 were rejected: {TITLE}; scraper items wrong --rejects lists them\n"
    )

    told = here("crawl", "wrong", "-a", f"start={bookshop_url}", "--summary")
    assert "rejected items" in told.stderr
    assert "  item: title: a SelectorList cannot be stored as JSON" in told.stderr


@pytest.mark.usefixtures("wrong")
def test_rejects_are_shown_with_reason_data_and_page(cli: Cli, here: Cli, bookshop_url: str) -> None:
    assert cli("crawl", "wrong", "-a", f"start={bookshop_url}", "-a", "good=yes").returncode == 0
    rows = [json.loads(line) for line in here("items", "wrong", "--rejects", "--json").stdout.splitlines()]
    assert [(row["kind"], row["url"], row["run"]) for row in rows] == [
        *[("price", bookshop_url, 1)] * 2,
        *[("item", bookshop_url, 1)] * 3,
    ]
    assert (rows[0]["reason"], rows[0]["data"]) == ("amount: '£2' (str) is not float", "Price(amount='£2')")
    table = here("items", "wrong", "price", "--rejects", "-n", 1).stdout
    assert "rejected items: 1 of 2" in table
    assert "amount: '£2' (str) is not float" in table
    assert bookshop_url in table
    assert "SelectorList" not in table
    assert "no rejected items of kind 'x' in" in here("items", "wrong", "x", "--rejects").stderr
    assert "no items" not in here("items", "wrong").stderr


@pytest.mark.parametrize("sample", [True, False])
def test_rejects_without_one_item_are_a_failure_without_any_rule(sample: bool) -> None:
    none = Verdict("items >= 1", "0 (all 1,200 were rejected)", False)
    assert judge([], Figures(1, pages=9, rejects=1200), [], sample=sample) == [none]
    verdicts = judge(parse(["items >= 1", "rejects <= 2%"]), Figures(1, pages=9, rejects=1200), [], sample=sample)
    assert [each.rule for each in verdicts] == ["items >= 1", "rejects <= 2%"]
    assert verdicts[0] == none
    assert judge([], Figures(1, pages=9, items=1, rejects=1200), [], sample=sample) == []


def stats_of(*reasons: str) -> Stats:
    stats = Stats(0.0)
    lease = Lease(1, 1, Request("http://a.test/"), "a.test", 1, 0.0)
    for reason in reasons:
        stats.count([Done(lease, Seen(200), Found(rejects=[Reject("book", reason, "")]))], [Receipt(1, True)])
    return stats


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    configure()  # to the stderr of this test
    yield capsys
    configure()


def test_of_many_reasons_five_are_logged_and_told(logged: pytest.CaptureFixture[str]) -> None:
    words = "zero one two three four five six seven".split()
    stats = stats_of(*[f"{word}: '{n}' is wrong" for word in words for n in range(words.index(word) + 1)])
    told = [each["reason"] for each in events(logged.readouterr().err) if each["event"] == "item_rejected"]
    assert told == [f"{word}: '0' is wrong" for word in words[:5]]
    assert stats.snapshot(1.0).rejected == {
        f"book: {word}: '0' is wrong": words.index(word) + 1 for word in reversed(words[3:])
    }


@pytest.mark.usefixtures("logged")
def test_reasons_are_counted_in_bounded_memory() -> None:
    stats = stats_of(*[f"reason {'x' * n}" for n in range(300)])
    assert stats.rejects == 300
    assert len(stats._rejected) == 200


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda page: page.css("h1"), "a SelectorList cannot be stored as JSON; .get() is the text of the first match"),
        (lambda page: [page.css("h1")[0]], "a Selector cannot be stored as JSON; .get() is its text"),
        (lambda page: page.follow("/x"), "a Request cannot be stored as JSON; yield it beside the item"),
        (lambda page: page, "a Response cannot be stored as JSON; take what you need of it"),
        (lambda page: 1j, "a complex cannot be stored as JSON"),
    ],
    ids=["list", "selector", "request", "response", "other"],
)
def test_what_cannot_be_stored_is_named_by_its_field(make: Any, words: str) -> None:
    page = Response("http://a.test/", body=b"<h1>a</h1>", request=Request("http://a.test/"))
    found = to_item({"ok": 1, "more": make(page)})
    assert isinstance(found, Reject)
    assert found.reason.startswith(f"more: {words}")

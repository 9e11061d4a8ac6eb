"""Rules: what is one, what it says of a run's figures, and how that is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper import Response, Spider
from scraper.errors import UsageError
from scraper.expect import doubtful, judge, parse
from scraper.log import configure
from scraper.page import Figures, Verdict
from scraper.testing import FakeFetcher


def run(number: int = 9, pages: int = 10, **figures: object) -> Figures:
    return Figures(number, pages, **figures)  # type: ignore[arg-type]


def one(rule: str, now: Figures, *before: Figures, sample: bool = False) -> tuple[str, bool]:
    [verdict] = judge(parse([rule]), now, before, sample=sample)
    assert verdict.rule == rule
    return verdict.figure, verdict.met


# what is a rule


def test_rules_keep_their_order_and_their_words() -> None:
    rules = ["items >= 5", " pages>1 ", "book.price  >=  95 %", "retries <= 1_000", "failures <= 150% of the median"]
    assert [rule.text for rule in parse(rules)] == [" ".join(rule.split()) for rule in rules]
    assert parse(iter(["items > 1"]))[0].figure == "items"
    assert parse([]) == []


@pytest.mark.parametrize("number", ["1000", "1_000", "1,000", "001000"])
def test_numbers_as_people_write_them(number: str) -> None:
    assert one(f"items >= {number}", run(items=1000)) == ("1,000", True)
    assert one(f"items >= {number}", run(items=999)) == ("999", False)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("", "not a figure, a comparison and a bound"),
        ("items", "not a figure, a comparison and a bound"),
        ("items at least 5", "not a figure, a comparison and a bound"),
        ("number of items >= 5", "not a figure, a comparison and a bound"),
        ("items = 5", "'=' is no comparison; write =="),
        ("items => 5", "'=>' is no comparison; write >="),
        ("items =< 5", "'=<' is no comparison; write <="),
        ("items ≥ 5", "'≥' is no comparison; write >="),
        ("items != 5", "'!=' is no comparison; a comparison is one of >= <= > < =="),
        ("items >=", "'' is no bound"),
        ("items >= many", "'many' is no bound"),
        ("items >= -5", "'-5' is no bound"),
        ("items >= 1,00", "'1,00' is no bound"),
        ("items >= 1e3", "'1e3' is no bound"),
        ("items >= ٣", "no bound"),
        ("items >= 10 20", "'10 20' is no bound"),
        ("items >= 1.5", "'1.5' is no whole number; a share is written with %"),
        ("book.price >= 0.95", "a share is written with %"),
        ("failures <= 1,5%", "'1,5%' is no bound: a whole number, a share (95%) or 70% of median; write 1.5%"),
        ("items >= 95%", "95% of what? Write items >= 95% of median"),
        ("pages >= 95%", "Write pages >= 95% of median"),
        ("book >= 95%", "Write book >= 95% of median"),
        ("items >= 70 of median", "'70 of median' is no share"),
        ("items >= 70% of mean", "'70% of mean' is no bound"),
        ("book.price >= 70% of median", "a field is not held against earlier runs"),
        ("book.price >= 950%", "a part is at most 100%"),
        ("failures <= 100.5%", "a part is at most 100%"),
        ("book. >= 5", "a field is written kind.field"),
        (".price >= 5", "a field is written kind.field"),
        ("items.price >= 95%", "'items' counts items of every kind, and has no fields"),
        ("Items >= 5", "'Items' is not counted; write 'items'"),
        ("errors <= 5", "'errors' is not counted; write 'failures'"),
        ("failed <= 5%", "write 'failures'"),
    ],
)
def test_what_is_none_is_said_with_what_is_wrong_and_what_is_right(rule: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(["items >= 1", rule])
    assert f"the rule {rule!r} is not understood: " in str(caught.value)
    assert why in str(caught.value)
    for right in ("items >= 1000", "failures <= 2%", "book.price >= 95%", "items >= 70% of median"):
        assert repr(right) in str(caught.value)
        parse([right])


def test_one_string_is_no_list_and_a_number_no_rule() -> None:
    with pytest.raises(UsageError, match=r"make it a list: \['items >= 5'\]"):
        parse("items >= 5")
    with pytest.raises(UsageError, match="a rule is a string, not 5, such as"):
        parse([5])  # type: ignore[list-item]


# what it says


@pytest.mark.parametrize(
    ("sign", "met"),
    [
        (">=", (False, True, True)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        ("<", (True, False, False)),
        ("==", (False, True, False)),
    ],
)
def test_comparisons(sign: str, met: tuple[bool, ...]) -> None:
    assert tuple(one(f"items {sign} 10", run(items=n))[1] for n in (9, 10, 11)) == met
    shares = (run(pages=100 - n, dead=n) for n in (9, 10, 11))
    assert tuple(one(f"failures {sign} 10%", now)[1] for now in shares) == met
    assert tuple(one(f"items {sign} 50% of median", run(items=n), run(1, items=20))[1] for n in (9, 10, 11)) == met
    assert tuple(one(f"items {sign} 50% of median", run(items=n), run(1))[1] for n in (0, 1)) == met[1:]


def test_each_word_has_its_figure() -> None:
    now = run(pages=1, items=2, rejects=3, retries=4, dead=5, kinds={"book": 6}, fills={"book": {"price": 5}})
    for figure, count in zip(
        ("pages", "items", "rejects", "retries", "failures", "book", "book.price", "author"),
        (*range(1, 7), 5, 0),
        strict=True,
    ):
        assert one(f"{figure} == {count}", now) == (str(count), True), figure


def test_a_share_is_of_its_whole() -> None:
    now = run(pages=90, dead=10, retries=150, items=30, rejects=10, kinds={"book": 8}, fills={"book": {"price": 7}})
    assert one("failures <= 2%", now) == ("10.0% (10 of 100)", False)
    assert one("retries <= 150%", now) == ("150.0% (150 of 100)", True)
    assert one("rejects < 25%", now) == ("25.0% (10 of 40)", False)
    assert one("book.price >= 87.5%", now) == ("87.5% (7 of 8)", True)
    assert one("book.isbn >= 1%", now) == ("0.0% (0 of 8)", False)


def test_a_share_of_nothing_is_none() -> None:
    nothing = run(pages=0)
    assert one("failures <= 2%", nothing) == ("0.0% (0 of 0)", True)
    assert one("rejects > 2%", nothing) == ("0.0% (0 of 0)", False)


@pytest.mark.parametrize("rule", ["book.price >= 0%", "book.price <= 50%", "book.price == 0"])
def test_a_field_of_no_items_is_never_met(rule: str) -> None:
    assert one(rule, run(items=3, kinds={"author": 3})) == ("no book items", False)


@pytest.mark.parametrize("kind", ["bücher", "книга", "किताब", "本", "book_review", "two-words", "2nd"])
def test_names_of_any_script(kind: str) -> None:
    now = run(kinds={kind: 4}, fills={kind: {kind: 1}})
    assert one(f"{kind} >= 4", now) == ("4", True)
    assert one(f"{kind}.{kind}>=50%", now) == ("25.0% (1 of 4)", False)


def test_words_win_over_kinds_of_that_name() -> None:
    assert one("pages >= 3", run(pages=2, kinds={"pages": 5})) == ("2", False)


@pytest.mark.parametrize(
    ("filled", "of", "rule", "figure", "met"),
    [
        (9496, 10_000, ">= 95%", "94.96% (9,496 of 10,000)", False),
        (9_499_999, 10_000_000, ">= 95%", "94.99999% (9,499,999 of 10,000,000)", False),
        (9500, 10_000, ">= 95%", "95.0% (9,500 of 10,000)", True),
        (9500, 10_000, "> 95%", "95.0% (9,500 of 10,000)", False),
        (9501, 10_000, "> 95%", "95.01% (9,501 of 10,000)", True),
        (2, 3, "<= 66.67%", "66.667% (2 of 3)", True),
        (2, 3, "== 66.67%", "66.667% (2 of 3)", False),
        (2, 3, ">= 66.6%", "66.7% (2 of 3)", True),
        (8001, 100_000, "<= 8%", "8.001% (8,001 of 100,000)", False),
        (10**15 - 1, 10**15, ">= 100%", "99.9999999999999% (999,999,999,999,999 of 1,000,000,000,000,000)", False),
    ],
)
def test_rounding_never_makes_it_look_otherwise(filled: int, of: int, rule: str, figure: str, met: bool) -> None:
    assert one(f"b.f {rule}", run(kinds={"b": of}, fills={"b": {"f": filled}})) == (figure, met)


# against earlier runs


def items(*counts: int) -> list[Figures]:
    return [run(number, items=count, dead=count // 100) for number, count in enumerate(counts, 1)]


def test_the_median_is_of_the_last_five_in_whatever_order() -> None:
    before = items(5, 5, 5, 800, 1000, 3000, 1000, 2000)
    figure = "640, which is 64.0% of the median 1,000 of the last 5 runs"
    for order in (before, before[::-1]):
        assert one("items >= 70% of median", run(items=640), *order) == (figure, False)
    assert one("items >= 64% of median", run(items=640), *before) == (figure, True)
    assert one("items >= 64% of median", run(8, items=640), *before)[0].endswith("median 1,000 of the last 5 runs")


def test_the_run_itself_is_no_earlier_run() -> None:
    before = items(10, 20, 400)
    assert one("items >= 100% of median", run(3, items=15), *before) == (
        "15, which is 100.0% of the median 15 of the last 2 runs",
        True,
    )


def test_fewer_runs() -> None:
    assert one("items >= 70% of median", run(items=7)) == ("7 (no earlier run)", True)
    assert one("items > 70% of median", run(items=7), *items(10)) == (
        "7, which is 70.0% of the 10 of the last run",
        False,
    )
    assert one("items > 70% of median", run(items=8), *items(10, 11)) == (
        "8, which is 76.2% of the median 10.5 of the last 2 runs",
        True,
    )


def test_a_median_of_nothing() -> None:
    before = items(0, 0, 50)
    assert one("failures <= 150% of median", run(), *before) == ("0, against the median 0 of the last 3 runs", True)
    assert one("failures <= 150% of median", run(dead=1), *before)[1] is False
    assert one("book >= 70% of median", run(kinds={"book": 3}), *before)[1] is True


def test_a_median_of_failures_and_of_a_kind() -> None:
    assert one("failures <= 150% of median", run(dead=4), *items(200, 200, 900)) == (
        "4, which is 200.0% of the median 2 of the last 3 runs",
        False,
    )
    before = [run(number, kinds={"book": 100}) for number in (1, 2)] + [run(3)]
    assert one("book >= 70% of median", run(kinds={"book": 69}), *before)[1] is False


def test_a_share_of_the_median_is_shown_on_its_side_of_the_bound() -> None:
    figure, met = one("items >= 70% of median", run(items=69_999), *items(100_000))
    assert (figure, met) == ("69,999, which is 69.999% of the 100,000 of the last run", False)


# a sample, and no page at all


def test_of_a_sample_only_shares_are_judged() -> None:
    rules = parse(
        ["items >= 1000", "pages < 3", "book.price == 3", "items >= 70% of median", "failures <= 2%", "b.f > 9%"]
    )
    verdicts = judge(rules, run(dead=1), items(10_000), sample=True)
    assert [each.rule for each in verdicts] == ["failures <= 2%", "b.f > 9%"]
    assert len(judge(rules, run(dead=1), items(10_000), sample=False)) == 6


@pytest.mark.parametrize("sample", [True, False])
def test_not_one_page_is_a_failure_without_any_rule(sample: bool) -> None:
    none = Verdict("pages >= 1", "0 (all 1,200 failed)", False)
    assert judge([], run(pages=0, dead=1200), [], sample=sample) == [none]
    verdicts = judge(parse(["pages >= 1", "failures <= 2%"]), run(pages=0, dead=1200), [], sample=sample)
    assert [each.rule for each in verdicts] == ["pages >= 1", "failures <= 2%"]
    assert verdicts[0] == none
    assert judge([], run(pages=1, dead=1200), [], sample=sample) == []
    assert judge([], run(pages=0), [], sample=sample) == []


# a figure that is misspelt


def test_a_kind_that_nearly_spells_a_figure_is_doubted() -> None:
    rules = parse(
        ["itms > 10", "page >= 1", "pages >= 1", "item >= 1", "itms.title >= 95%", "book >= 1", "reject <= 2"]
    )
    assert doubtful(rules) == {
        "itms > 10": ("itms", "items"),
        "page >= 1": ("page", "pages"),
        "reject <= 2": ("reject", "rejects"),
    }


async def test_the_doubt_is_told_before_the_crawl_until_the_kind_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Page(dict[str, str]):
        pass

    class Shop(Spider):
        start_urls = ("http://a.test/",)

        def parse(self, response: Response) -> Any:
            lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
            doubts = [each for each in lines if each["event"] == "rule_may_be_misspelt"]
            told.append([(each["rule"], each["no_such_kind_yet"], each["did_you_mean"]) for each in doubts])
            yield Page(url=response.url)

    told: list[list[Any]] = []
    configure()  # to the stderr of this test
    for _ in range(2):
        fetcher = FakeFetcher({"http://a.test/": ""})
        await scraper.crawl(Shop, db=tmp_path / "s.db", expect=["page >= 1", "itms >= 0"], fetcher=fetcher)
    configure()
    page, itms = ("page >= 1", "page", "pages"), ("itms >= 0", "itms", "items")
    assert told == [[page, itms], [itms]]

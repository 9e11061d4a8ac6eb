"""Rules a run must meet, such as ``items >= 1000`` or ``book.price >= 95%``, and what they say of its figures.

All of it is whole numbers: a share is compared by multiplying out, so that no rounding decides whether a run failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from scraper.errors import UsageError
from scraper.page import Figures, Verdict

WORDS = ("items", "pages", "failures", "rejects", "retries")
"""What a figure can be besides a kind. They win: the items of a kind with such a name cannot be counted."""
NEAR = dict.fromkeys(("failed", "failure", "dead", "errors"), "failures") | {
    "rejected": "rejects",
    "retried": "retries",
}
"""What people write for them; taken for a kind, which has no items then, ``errors <= 5`` would always be met."""
DICT = "item"
"""The kind of dicts, which is no slip for ``items``."""
SHARED = ("failures", "rejects", "retries")
"""The words that can be held against a share."""
LAST = 5
"""Runs that a median is of."""

_RULE = r"(?s)([^\s<>=!≤≥≠]+)\s*([<>=!≤≥≠]+)\s*(.*)"
_NUMBER = r"([0-9]{1,15}|[0-9]{1,3}(?:[,_][0-9]{3}){1,4})(?:\.([0-9]{1,9}))?"
_BOUND = _NUMBER + r" ?(%)?(?: ?(of (?:the )?median))?"  # compiled when there is a rule: most crawls have none
_HOLDS = {">=": (0, 1), "<=": (-1, 0), ">": (1,), "<": (-1,), "==": (0,)}
"""The signs of (figure - bound) with which a rule is met."""
_MEANT = {"=": "==", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "===": "=="}

Ratio = tuple[int, int]


class Rule(Struct, frozen=True):
    """One rule. ``bound`` is (top, bottom): 95% is (95, 100).

    ``field`` is None unless items with a value in it are counted. ``share``: of a whole; ``median``: of that of the
    last runs; neither: the bound is a number.
    """

    text: str
    figure: str
    field: str | None
    sign: str
    bound: Ratio
    share: bool = False
    median: bool = False


def parse(texts: Iterable[str]) -> list[Rule]:
    """The rules, in their order. Raises UsageError for what is none, with what is wrong and what is right."""
    if isinstance(texts, str):
        raise UsageError(f"expect is one string; make it a list: [{texts!r}]")
    return [_rule(text) for text in texts]


def judge(rules: Sequence[Rule], now: Figures, before: Sequence[Figures], *, sample: bool) -> list[Verdict]:
    """A verdict on each rule, in their order.

    ``before`` are the runs that finished earlier, in any order; the last five count. ``sample`` when a limit ended
    the run: only shares say something then, and the other rules get no verdict. When not one page could be had, or
    items were rejected and not one was stored, there is a verdict on that first, with or without rules.
    """
    earlier = sorted((each for each in before if each.run != now.run), key=lambda each: each.run)[-LAST:]
    verdicts = [_verdict(rule, now, earlier) for rule in rules if rule.share or not sample]
    if now.rejects and not now.items:
        verdicts = _first(Verdict("items >= 1", f"0 (all {now.rejects:,} were rejected)", False), verdicts)
    if now.dead and not now.pages:
        verdicts = _first(Verdict("pages >= 1", f"0 (all {now.dead:,} failed)", False), verdicts)
    return verdicts


def _first(none: Verdict, verdicts: list[Verdict]) -> list[Verdict]:
    return [none, *(each for each in verdicts if each.rule != none.rule)]


def doubtful(rules: Iterable[Rule]) -> dict[str, tuple[str, str]]:
    """By rule: the kind that it counts, and the figure that it nearly spells: ``itms`` may be a kind, or a slip."""
    found: dict[str, tuple[str, str]] = {}
    for rule in rules:
        if rule.field is None and rule.figure not in (*WORDS, DICT):
            import difflib  # for few rules

            if near := difflib.get_close_matches(rule.figure.lower(), WORDS, n=1, cutoff=0.75):
                found[rule.text] = rule.figure, near[0]
    return found


# parsing


def _rule(text: str) -> Rule:
    if not isinstance(text, str):
        raise UsageError(f"a rule is a string, not {text!r}, such as 'items >= 1000' or 'book.price >= 95%'")
    text = " ".join(text.split())
    found = re.fullmatch(_RULE, text)
    if found is None:
        raise _wrong(text, "it is not a figure, a comparison and a bound")
    name, sign, amount = found.groups()
    if sign not in _HOLDS:
        meant = f"write {_MEANT[sign]}" if sign in _MEANT else f"a comparison is one of {' '.join(_HOLDS)}"
        raise _wrong(text, f"{sign!r} is no comparison; {meant}")
    figure, dot, field = name.partition(".")
    if not figure or (dot and not field):
        raise _wrong(text, f"{name!r} is no figure; a field is written kind.field")
    if dot and figure in WORDS:
        raise _wrong(text, f"{figure!r} counts {figure} of every kind, and has no fields; name a kind")
    if not dot:
        meant = figure.lower() if figure.lower() in WORDS else NEAR.get(figure.lower(), figure)
        if meant != figure:
            raise _wrong(text, f"{figure!r} is not counted; write {meant!r}")
    given = re.fullmatch(_BOUND, amount)
    if given is None:
        more = f"; write {amount.replace(',', '.')}" if re.fullmatch(r"[0-9]+,[0-9]+\s*%.*", amount) else ""
        raise _wrong(text, f"{amount!r} is no bound: a whole number, a share (95%) or 70% of median" + more)
    whole, decimals, percent, median = given.groups()
    if not percent and (decimals or median):
        raise _wrong(text, f"{amount!r} is no {'share' if median else 'whole number'}; a share is written with %")
    if median and dot:
        raise _wrong(text, "a field is not held against earlier runs; give a share of its items or a number")
    if percent and not median and not dot and figure not in SHARED:
        raise _wrong(text, f"{amount} of what? Write {figure} {sign} {amount} of median")
    digits = decimals or ""
    bound = (int(re.sub("[,_]", "", whole) + digits), 10 ** len(digits) * (100 if percent else 1))
    if percent and not median and figure != "retries" and bound[0] > bound[1]:
        raise _wrong(text, "a part is at most 100%")
    return Rule(text, figure, field if dot else None, sign, bound, bool(percent and not median), bool(median))


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"the rule {text!r} is not understood: {why}. Right are, for example, "
        "'items >= 1000', 'failures <= 2%', 'book.price >= 95%' or 'items >= 70% of median'"
    )


# judging


def _verdict(rule: Rule, now: Figures, earlier: Sequence[Figures]) -> Verdict:
    figure = _count(rule, now)
    if rule.field is not None and not now.kinds.get(rule.figure):
        return Verdict(rule.text, f"no {rule.figure} items", False)
    if rule.share:
        whole = _whole(rule, now)
        value = (figure, whole or 1)
        shown = f"{_percent(value, rule.bound)} ({figure:,} of {whole:,})"
    elif not rule.median:
        value, shown = (figure, 1), f"{figure:,}"
    elif not earlier:
        return Verdict(rule.text, f"{figure:,} (no earlier run)", True)
    else:
        top, bottom = _median([_count(rule, each) for each in earlier])
        median = f"{top // bottom:,}" + (".5" if top % bottom else "")
        of = f"median {median} of the last {len(earlier)} runs" if len(earlier) > 1 else f"{median} of the last run"
        if top == 0:  # no share of nothing can be told, but more than nothing is more than any share of it
            return Verdict(rule.text, f"{figure:,}, against the {of}", int(figure > 0) in _HOLDS[rule.sign])
        value = (figure * bottom, top)
        shown = f"{figure:,}, which is {_percent(value, rule.bound)} of the {of}"
    return Verdict(rule.text, shown, _compare(value, rule.bound) in _HOLDS[rule.sign])


def _count(rule: Rule, of: Figures) -> int:
    if rule.field is not None:
        return of.fills.get(rule.figure, {}).get(rule.field, 0)
    if rule.figure == "failures":
        return of.dead
    if rule.figure in WORDS:
        count: int = getattr(of, rule.figure)
        return count
    return of.kinds.get(rule.figure, 0)


def _whole(rule: Rule, of: Figures) -> int:
    """What a share is of: the items of the kind, all pages that were finished, or all items that were given."""
    if rule.field is not None:
        return of.kinds.get(rule.figure, 0)
    return of.items + of.rejects if rule.figure == "rejects" else of.pages + of.dead


def _median(counts: list[int]) -> Ratio:
    counts.sort()
    middle = len(counts) // 2
    return (counts[middle], 1) if len(counts) % 2 else (counts[middle - 1] + counts[middle], 2)


def _compare(one: Ratio, other: Ratio) -> int:
    """-1, 0 or 1, as one is less than, equal to or more than the other."""
    left, right = one[0] * other[1], other[0] * one[1]
    return (left > right) - (left < right)


def _percent(value: Ratio, bound: Ratio) -> str:
    """``value`` with as many digits as show on which side of ``bound`` it is: 94.96% is not 95.0%.

    It ends: what differs does so after finitely many digits, and a bound has finitely many.
    """
    digits = 1
    while True:
        unit = 10**digits
        number = (value[0] * 100 * unit * 2 + value[1]) // (value[1] * 2)  # to the nearest
        if _compare((number, 100 * unit), bound) == _compare(value, bound):
            return f"{number // unit:,}.{number % unit:0{digits}}%"
        digits += 1

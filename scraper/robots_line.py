"""Which line of a robots.txt forbids a URL: asked only after Protego has said no, for it does not tell.

Nothing here knows how a path is matched or a group chosen: small Protegos made of the file's own lines say it, so
that the answer cannot differ from the denial.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

from protego import Protego

_RULE = re.compile(r"\s*(?:(di[as]+l+[ao]w)|allow)(?=[\s:#]|$)[\s:]*([^#]*)", re.IGNORECASE)
"""Allow, or one of the spellings of Disallow that Protego takes, and its value."""
_ESCAPE = re.compile(r"%(2[DE]|3[0-9D]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)
"""What is the same path escaped or not: letters, digits and -._~="""
_AGENT = re.compile(r"\s*user[\s-]*agent", re.IGNORECASE)
MOST_GROUPS = 1_000
"""Groups that are looked into: what it costs grows with their square when all are ours."""
MANY = 32
"""So many lines are asked at once before each of them is: 500 kB can hold 30,000."""
MOST_ALONE = 256
"""Lines of which a Protego (3 kB) is kept; a site that forbids much forbids it by few of them."""
LONGEST_SHOWN = 120  # characters


class Line(NamedTuple):
    """A line as people count (from 1) and see it, without its comment."""

    number: int
    text: str


class DenyingLines:
    """The lines of one robots.txt that disallow something to ``token``, the longest path first."""

    def __init__(self, text: str, token: str) -> None:
        """Costs about what parsing the file costs."""
        lines: list[tuple[int, str, Line]] = []
        marks: list[str] = []
        number, group, fresh = 1, -1, True
        for each in text.splitlines(keepends=True):  # at what Protego splits at, which is more than editors count
            rule = _RULE.match(each)
            if rule is None:
                marks.append(each.rstrip())
                fresh = fresh or _AGENT.match(each) is not None
            elif rule[1] is None or not rule[2].strip():
                marks.append("Allow:")  # it says nothing now, but still ends the names of a group
            else:
                group += fresh
                marks.append(f"Disallow: /{group}/" if fresh and group < MOST_GROUPS else "Allow:")
                fresh = False
                lines.append((group, rule[2].strip(), Line(number, each)))
            number += each.endswith(("\n", "\r"))
        # A path of its own for each group: those that are denied to us are ours.
        marked = Protego.parse("\n".join(marks))
        ours = {mark for mark in range(min(group + 1, MOST_GROUPS)) if not marked.can_fetch(f"http://h/{mark}/", token)}
        lines = [each for each in lines if each[0] in ours]
        lines.sort(key=lambda each: -_weight(each[1]))
        self._lines = [line for _, _, line in lines]
        self._many = [_protego(self._lines[at : at + MANY]) for at in range(0, len(lines), MANY)]
        self._each: dict[int, Protego] = {}

    def find(self, url: str) -> Line | None:
        """The line with the longest path that forbids ``url``; None when no line does by itself."""
        for first, many in zip(range(0, len(self._lines), MANY), self._many, strict=True):
            if many.can_fetch(url, "*"):
                continue
            for at in range(first, min(first + MANY, len(self._lines))):
                line = self._lines[at]
                alone = self._each.get(at)
                if alone is None:
                    if len(self._each) >= MOST_ALONE:
                        self._each.clear()
                    alone = self._each[at] = _protego([line])
                if not alone.can_fetch(url, "*"):
                    return Line(line.number, _shown(line.text))
        return None


def _protego(lines: list[Line]) -> Protego:
    return Protego.parse("User-agent: *\n" + "\n".join(line.text.strip() for line in lines))


def _weight(path: str) -> int:
    """The octets of a path, however it is escaped; of the rules that match, the one with most of them counts."""
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), path)
    return len(quote(plain.removesuffix("$"), safe="/%*=")) + plain.endswith("$")


def _shown(text: str) -> str:
    """Fit for a message of one line: whoever wrote the file must not write on a terminal."""
    words = " ".join(text.partition("#")[0].split())
    words = words if len(words) <= LONGEST_SHOWN else words[:LONGEST_SHOWN] + "…"
    return "".join(char if char.isprintable() else "\ufffd" for char in words)

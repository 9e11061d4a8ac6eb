"""JSON read value by value: the elements of one array in a large document, or JSON Lines.

The standard library's scanner does the work, on a window of the text that moves on with each value; nothing but the
window and one value is held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from scraper.errors import NestingError, ParseError
from scraper.feeds.source import Source

MOST_VALUE = 16 * 1024 * 1024
"""Characters of one value, and of one that is passed over."""
WINDOW = 256 * 1024

NEAR = 64
"""Characters before the end of the window in which what is wrong may be cut."""

_SPACE = " \t\r\n"
AFTER = frozenset(_SPACE + ",:]}")
"""What follows a value."""
_SPACES = re.compile(r"[ \t\r\n]*+")
_scan = json.JSONDecoder().raw_decode


class Broken(NamedTuple):
    """A line that is no JSON: what it says and why it is none."""

    line: int
    text: str
    reason: str


def read_values(source: Source, path: str = "", *, lines: bool | None = None) -> Iterator[Any]:
    """The elements of the array at ``path`` (keys with dots between them; empty: the document itself is the array).

    Without a path, a document that is no array is taken for JSON Lines, as with ``lines`` True: one value after the
    other, and a line that is none is given as `Broken`. Raises ParseError where it breaks, after what was whole.
    """
    window = _Window(source)
    start = window.peek()
    if not start:
        if lines or not path:
            return
        raise ParseError(f"{source.url} is empty, no JSON")
    if lines or (lines is None and not path and start != "["):
        yield from _each_line(window)
        return
    for key in path.split(".") if path else ():
        window.enter(key, path)
    if window.peek() != "[":
        raise ParseError(f"{source.url} has no array at {path or 'its top'!r}: it has {window.sample()!r} there")
    window.at += 1
    if window.peek() == "]":
        return
    while True:
        yield window.value()
        after = window.peek()
        if after == "]":
            return
        if after != ",":
            window.fail("expected ',' or ']'" if after else "it ends within the array")
        window.at += 1


def _each_line(window: _Window) -> Iterator[Any]:
    number = 0
    for number, line in window.lines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            # Not JSON Lines at all, perhaps: one object over many lines.
            if number == 1 and (whole := window.whole(line)) is not None:
                yield whole
                return
            yield Broken(number, line[:1000], str(error)[:200])


class _Window:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = source.lines()
        self._text = ""
        self._over = False
        self.at = 0

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            spaces = _SPACES.match(self._text, self.at)
            self.at = spaces.end() if spaces is not None else self.at
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The value that begins here. Raises ParseError when there is none, or a very large one."""
        self.peek()
        while True:
            try:
                value, end = _scan(self._text, self.at)
                # What ends near the end of the window may be the beginning of a number: 1.5 of 1.5e10.
                if self._over or end + NEAR < len(self._text) or self._text[end : end + 1] in AFTER:
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                # What is wrong well before the end of the window is wrong; what is wrong there may be cut.
                if self._over or (error.pos < len(self._text) - NEAR and not error.msg.startswith("Unterminated")):
                    self.fail(f"{error.msg} (character {error.pos - self.at} of the value {self.sample()!r})")
            except ValueError as error:  # JSON, but of a number with more digits than Python reads
                self.fail(f"{error} (in the value {self.sample()!r})")
            except RecursionError:
                raise NestingError(f"{self._source.url} has JSON nested too deeply") from None
            if len(self._text) - self.at > MOST_VALUE:
                self.fail(f"a value of more than {MOST_VALUE:,} characters")
            self._more(max(WINDOW, len(self._text) - self.at))  # twice as much: never read a value many times

    def enter(self, key: str, path: str) -> None:
        """Go to the value of a key of the object that begins here."""
        if self.peek() != "{":
            self.fail(f"no object to look for {key!r} of {path!r} in: there is {self.sample()!r}")
        self.at += 1
        while (character := self.peek()) == '"':
            name = self.value()
            if self.peek() != ":":
                self.fail("expected ':'")
            self.at += 1
            if name == key:
                return
            self.value()
            if self.peek() == ",":
                self.at += 1
        self.fail(f"no key {key!r} (of {path!r})" if character else "it ends within an object")

    def sample(self) -> str:
        self.peek()
        return self._text[self.at : self.at + 60]

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines from here on that are not empty, with their numbers."""
        number = 1 + self._text.count("\n", 0, self.at)
        while True:
            end = self._text.find("\n", self.at)
            if end < 0:
                if len(self._text) - self.at > MOST_VALUE:
                    self.fail(f"a line of more than {MOST_VALUE:,} characters")
                if self._more(max(WINDOW, len(self._text) - self.at)):
                    continue
                end = len(self._text)
            line = self._text[self.at : end].strip(_SPACE)
            at_end = end >= len(self._text)
            self.at = end + (not at_end)
            if line:
                yield number, line
            number += 1
            if at_end:
                return

    def whole(self, first: str) -> Any:
        """The one value that the document is, when its first line is no value by itself; None when it is none."""
        self._text = f"{first}\n{self._text[self.at :]}"
        self.at = 0
        try:
            value = self.value()
        except ParseError:
            return None
        return value if not self.peek() else None

    def fail(self, why: str) -> None:
        raise ParseError(f"{self._source.url} is not the JSON asked for: {why}; what is whole before that is kept")

    def _more(self, size: int = 0) -> bool:
        """Read on; False at the end."""
        if self._over:
            return False
        if self.at > WINDOW:
            self._text = self._text[self.at :]
            self.at = 0
        piece = self._stream.read(size or WINDOW)
        self._over = not piece
        self._text += piece
        return bool(piece)

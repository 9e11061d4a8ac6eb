"""Words of a command line as a shell would see them, without a shell: bash with $'…', and Windows' cmd.

Nothing is expanded: no variables, no patterns, no substitution. Bytes that are no UTF-8 become lone surrogates
(PEP 383).
"""

from __future__ import annotations

import re

from scraper.errors import RequestError

_ANSI = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|c(.)|(.))|([^\\]+)|(\\)", re.DOTALL
)
_LETTERS = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SHELL = re.compile(
    r"""(?P<gap>(?:[ \t\r\n]|\\\r?\n)+)|\\(?P<escaped>.)|\$'(?P<ansi>(?:[^\\']|\\.)*)'|"""
    r"""\$?"(?P<double>(?:[^\\"]|\\.)*)"|'(?P<single>[^']*)'|"""
    r"""(?P<plain>[^ \t\r\n\\'"$;&|<>()`#]+|\$|\#)|(?P<end>[;&|<>()`])|(?P<open>["'\\])""",
    re.DOTALL,
)


def shell_words(line: str) -> list[str]:
    """Words of a bash command. Raises RequestError for an open quote, or for anything after the command."""
    words: list[str] = []
    word: str | None = None
    for part in _SHELL.finditer(line.strip()):
        kind = part.lastgroup
        if kind == "gap":
            if word is not None:
                words.append(word)
            word = None
            continue
        if kind == "end":
            rest = line.strip()[part.start() :]
            if rest.strip("; \t\r\n"):
                raise RequestError(f"after the command comes {rest[:60]!r}; give one command, well quoted")
            break
        if kind == "open":
            raise RequestError("the command ends within a quote; was it copied whole?")
        text = part[kind] if kind is not None else ""
        if kind == "ansi":
            text = _ansi(text)
        elif kind == "double":
            text = re.sub(r'\\(?:([$`"\\!])|\r?\n)', lambda match: match[1] or "", text)
        word = (word or "") + text
    return words if word is None else [*words, word]


def _ansi(text: str) -> str:
    """What stands between $' and ' (bash manual, 3.1.2.4)."""
    found = bytearray()
    for byte, octal, short, long, control, letter, plain, alone in _ANSI.findall(_PAIR.sub(_joined, text)):
        if byte or octal:
            found.append((int(byte, 16) if byte else int(octal, 8)) & 0xFF)
            continue
        if short or long:
            number = int(short or long, 16)
            each = chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        elif control:
            each = chr(ord(control) & 0x1F)
        elif letter:
            each = _LETTERS.get(letter) or (letter if letter in "\\'\"?" else f"\\{letter}")
        else:
            each = plain or alone
        found += each.encode("utf-8", "surrogateescape")
    return found.decode("utf-8", "surrogateescape")


_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
"""A character as the two halves that browsers write it in."""


def _joined(halves: re.Match[str]) -> str:
    before, high, low = halves.groups()
    return f"{before}\\U{0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00:08x}"


def is_cmd(line: str) -> bool:
    """Whether a command was written for cmd: a caret that nothing quotes, before a double quote or a line's end."""
    return any(
        part["plain"] is not None
        and part["plain"].endswith("^")
        and line[part.end() : part.end() + 1] in ('"', "\r", "\n")
        for part in _SHELL.finditer(line)
        if part.end() < len(line)
    )


def cmd_words(line: str) -> list[str]:
    """Words of a command for Windows' cmd: first its carets, then quotes and backslashes as programs there read them.

    Raises RequestError for an open quote.
    """
    return _argv(_uncaret(line.strip()))


def _uncaret(line: str) -> str:
    found = []
    quoted = False
    at = 0
    while at < len(line):
        each = line[at]
        if each == "^" and not quoted:
            at += 1
            if line.startswith("\r\n", at):
                at += 2
            elif line.startswith("\n", at):
                at += 1
            if line.startswith("\r\n", at):  # a break that the caret before the one before it has escaped
                found.append("\n")
                at += 2
            elif at < len(line):
                found.append(line[at])
                at += 1
            continue
        if each == '"':
            quoted = not quoted
        found.append(each)
        at += 1
    return "".join(found)


def _argv(line: str) -> list[str]:
    words: list[str] = []
    word: str | None = None
    quoted = False
    for part in re.finditer(r'(\\*)("")|(\\*)(")|(\\+)|([ \t\r\n]+)|([^\\" \t\r\n]+)', line):
        slashes, double, slashes_1, single, alone, gap, plain = part.groups()
        if gap is not None and not quoted:
            if word is not None:
                words.append(word)
            word = None
            continue
        word = word or ""
        if double or single:
            before = slashes if double else slashes_1
            word += "\\" * (len(before) // 2)
            marks = len(double or single)
            if len(before) % 2:
                word += '"'
                marks -= 1
            if marks == 2 and quoted:
                word += '"'  # two within quotes are one, and the quote goes on
            elif marks == 1:
                quoted = not quoted
        else:
            word += alone or gap or plain
    if quoted:
        raise RequestError("the command ends within a quote; was it copied whole?")
    return words if word is None else [*words, word]

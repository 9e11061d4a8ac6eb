"""robots.txt as text: who we are to it, what its bytes say, and its plain form that Protego cannot misread."""

from __future__ import annotations

import re

from scraper.settings import Settings
from scraper.url import resolve

MOST_BYTES = 500 * 1024
"""What is read of a robots.txt; RFC 9309 section 2.5 asks for no less."""
US = "us"
"""Our name in the plain form."""

_COMPATIBLE = re.compile(r"\bcompatible\b[;,)\s]*([^\W_][^/;,()]*)", re.IGNORECASE)
_AGENT = re.compile(r"\s*user[\s-]*agent(?:\s*:|\s|$)\s*([^#]*)", re.IGNORECASE)
_RECORD = re.compile(
    # Sitemap and Disallow in every spelling that Protego takes
    r"\s*(?:allow|dis+al+ow|diasllow|disallaw|crawl[ -]delay|request[ -]rate)(?=[\s:#]|$)",
    re.IGNORECASE,
)
_SITEMAP = re.compile(r"\s*site-?maps?\s*[:\s]\s*([^\s#]+)", re.IGNORECASE)
_ENDS = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""What str.splitlines(), and so Protego, ends a line at."""
_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def our_token(settings: Settings) -> str:
    """Our name to robots.txt: ``robots_agent``, else the product token of the User-Agent that is sent."""
    agent = settings.robots_agent or settings.user_agent
    if not settings.robots_agent:
        for name, value in settings.headers.items():
            if name.lower() == "user-agent":
                agent = value
    return product_token(agent)


def product_token(user_agent: str) -> str:
    """The name that robots.txt knows a User-Agent by: what stands before its first "/".

    Of one that looks like a browser's, ``Mozilla/5.0 (compatible; FooBot/1.2)``, it is what stands after
    "compatible".
    """
    token = user_agent.partition("/")[0].strip()
    if token.lower() == "mozilla" and (found := _COMPATIBLE.search(user_agent)):
        token = found[1].strip()
    return token


def robots_text(body: bytes) -> str:
    """The text of a robots.txt: its first 500 KiB, to the last line that is whole in them.

    UTF-8 as RFC 9309 has it, or UTF-16 by its BOM; a line that is not UTF-8 is read as Latin-1. Never raises.
    """
    if len(body) > MOST_BYTES:
        body = body[:MOST_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]  # half a rule would be another rule
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return body[2:].decode(encoding, "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "".join(map(_line, body.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)))


def _line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def sitemaps(text: str, url: str) -> list[str]:
    """The URLs of its ``Sitemap`` lines, canonical, each once; ``url`` is where it was found."""
    found = (resolve(url, match[1]) for line in text.splitlines() if (match := _SITEMAP.match(line)))
    return list(dict.fromkeys(each for each in found if each is not None))


def plain(text: str, token: str) -> str:
    """The same lines, with our own name as ``US``, every other as that of others, and blank where no rule stands.

    Protego would take ``User-agent: scrap`` for a group of ``scraper``, where RFC 9309 (2.2.1) asks for the whole
    token, and would let a record that it does not know end a group (2.2.4).
    """
    token = token.lower()
    lines = []
    for line in text.splitlines(keepends=True):
        if _RECORD.match(line) is not None:
            lines.append(line)
            continue
        end = line[len(line.rstrip(_ENDS)) :]
        agent = _AGENT.match(line)
        lines.append(end if agent is None else f"User-agent: {_name(agent[1].strip().lower(), token)}{end}")
    return "".join(lines)


def _name(value: str, token: str) -> str:
    if value in ("", "*"):
        return value
    names = (value, value.replace("*", ""), value.partition("/")[0].rstrip(), value.split()[0])
    return US if token and token in names else "other"

"""Dates as feeds and site maps write them: RFC 3339 and W3C-DTF, RFC 822 with any year, and near misses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 80
"""Characters of what may be a date."""

_ISO = re.compile(
    r"(\d{4})(?:-?(\d{1,2})(?:-?(\d{1,2}))?)?"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*(Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?)?",
    re.IGNORECASE,
)
_DAY = re.compile(r"(\d{1,2})\s+([a-z]{3})[a-z]*\.?,?\s+(\d{2,4})", re.IGNORECASE)
_ZONE = re.compile(r"\b(?:UTC|GMT|Z)\s*([+-])(\d{1,2}):?(\d{2})?\s*$", re.IGNORECASE)


def parse_date(text: str | None) -> datetime | None:
    """The moment, with its zone (UTC when it names none); None for what is no date.

    A day, month or year alone is its beginning.
    """
    text = " ".join(text.split()) if text else ""
    if not text or len(text) > LONGEST:
        return None
    try:
        found = _ISO.match(text)
        if found and not text[found.end() : found.end() + 1].isalnum():
            return _of_iso(found)
        day = _DAY.search(text)
        if day is None:
            return None
        rest = _ZONE.sub(lambda zone: f"{zone[1]}{int(zone[2]):02}{zone[3] or '00'}", text[day.end() :])
        rest = rest if ":" in rest else " 00:00:00"
        date = parsedate_to_datetime(f"{day[1]} {day[2]} {day[3]}{rest}")
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _of_iso(found: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if zone is None or zone.upper() in ("Z", "UTC", "GMT"):
        offset = "+00:00"
    else:
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = f"{zone[0]}{digits[:2]}:{digits[2:]}"
    if second == "60":  # a leap second
        second = "59"
    micro = (fraction or "")[:6].ljust(6, "0")
    return datetime.fromisoformat(
        f"{year}-{month or 1:0>2}-{day or 1:0>2}T{hour or 0:0>2}:{minute or 0:0>2}:{second or 0:0>2}.{micro}{offset}"
    )

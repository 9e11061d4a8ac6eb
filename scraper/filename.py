"""Names of files that a page may choose: below one folder, whatever they say."""

from __future__ import annotations

import re

PARTIAL = ".partial"
"""The folder, below ``files``, of what is not whole yet."""

LONGEST_PART = 255  # bytes, on nearly every file system
LONGEST = 1024

_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9]) *(?:\.|\Z)", re.IGNORECASE)
_UNFIT = re.compile(r"[\0-\x1f\x7f\\\ud800-\udfff]")


def flaw_of(name: str) -> str | None:
    """Why ``name`` cannot be a file below a folder, or None when it can: ``images/a.jpg``.

    Its parts are separated by "/". What leads out of the folder, or means something else on another system
    (``C:``, ``con.txt``), is refused.
    """
    if not name:
        return "is empty"
    if unfit := _UNFIT.search(name):
        return f"holds {unfit[0]!r}"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "is absolute"
    if len(name.encode()) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    parts = name.split("/")
    for part in parts:
        if part in ("", ".", ".."):
            return f"has the part {part!r}"
        if len(part.encode()) > LONGEST_PART:
            return f"has a part of more than {LONGEST_PART} bytes"
        if _DEVICE.match(part):
            return f"has the part {part!r}, the name of a device"
    return f"begins with {PARTIAL!r}, the folder of what is not whole yet" if parts[0].lower() == PARTIAL else None

"""The guard before the parser: pages nested so deeply that parsing them would stall."""

from __future__ import annotations


def too_deep(body: bytes | str, limit: int = 5000) -> bool:
    """Whether elements nest deeper than ``limit``."""
    return (body.count(b"<") if isinstance(body, bytes) else body.count("<")) >= 20 * limit

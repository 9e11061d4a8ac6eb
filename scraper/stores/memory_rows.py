"""What a MemoryStore remembers: plain dicts, which outlive their owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scraper.page import HostLedger, Note, Reject, Run, Verdict
from scraper.ports import StoredItem
from scraper.stores.memory_files import MemoryFiles


@dataclass(slots=True)
class Page:
    """A page's row."""

    id: int
    url: str
    stored: tuple[str, str | None, int, int, str | None]
    run: int
    found_on: int | None
    state: str = "due"
    due: float = 0.0
    attempts: int = 0
    status: int | None = None
    reason: str | None = None
    error: str | None = None
    first_tried: float | None = None
    written: float = 0.0


@dataclass(slots=True)
class Memory:
    """What outlives an owner: give the same one to the next MemoryStore to resume."""

    pages: dict[bytes, Page] = field(default_factory=dict)
    items: dict[tuple[str, str], StoredItem] = field(default_factory=dict)
    rejects: dict[tuple[int, int], Reject] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    ended: dict[int, str] = field(default_factory=dict)
    reopened: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, Sequence[Verdict]] = field(default_factory=dict)
    counters: dict[int, Counter[str]] = field(default_factory=dict)
    kinds: dict[int, Counter[str]] = field(default_factory=dict)
    fills: dict[int, Counter[tuple[str, str]]] = field(default_factory=dict)
    ledger: dict[tuple[int, str], HostLedger] = field(default_factory=dict)
    notes: dict[tuple[str, str], Note] = field(default_factory=dict)
    files: MemoryFiles = field(default_factory=MemoryFiles)
    working: bool = False
    asked_until: float | None = None
    owned: bool = False

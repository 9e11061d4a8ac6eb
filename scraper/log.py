"""Logging through structlog: a console renderer on a terminal, JSON lines otherwise, always on stderr.

A quiet crawl logs nothing, so structlog is imported when the first event is written: that is a tenth of
the start-up time of a short crawl. A program that has configured structlog itself gets our events as they
are; ``configure`` is for those that have not.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Form = Literal["auto", "console", "json"]

DEFAULT: tuple[str, Form] = ("info", "auto")
_chosen: tuple[str, Form] | None = None
_made: tuple[str, Form] | None = None


def configure(level: str = "info", form: Form = "auto", *, force: bool = True) -> None:
    """Choose what is written (``level`` and above) and how; ``force`` False keeps an earlier choice.

    The set-up is made at the first event that is written, and made again after each ``force``d call, so
    that it finds the ``sys.stderr`` of that moment.
    """
    global _chosen, _made
    if force or _chosen is None:
        _chosen, _made = (level, form), None


class Logger:
    """``structlog`` by name and bound values, imported when it is needed."""

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, **values: Any) -> None:
        self._name = name
        self._values = values

    def bind(self, **values: Any) -> Logger:
        """A logger whose events carry these values too."""
        return Logger(self._name, **{**self._values, **values})

    def debug(self, event: str, *parts: Any, **values: Any) -> None:
        """An event, with ``parts`` for its ``%s`` as in the standard library, and values beside it."""
        self._write("debug", event, parts, values)

    def info(self, event: str, *parts: Any, **values: Any) -> None:
        self._write("info", event, parts, values)

    def warning(self, event: str, *parts: Any, **values: Any) -> None:
        self._write("warning", event, parts, values)

    def error(self, event: str, *parts: Any, **values: Any) -> None:
        self._write("error", event, parts, values)

    def exception(self, event: str, *parts: Any, **values: Any) -> None:
        """``error`` with the traceback of the exception that is being handled."""
        self._write("error", event, parts, {"exc_info": True, **values})

    def writes(self, level: str) -> bool:
        """Whether an event of this level would be written: ask before making a costly one."""
        return (_made is None and _is_configured()) or LEVELS[level] >= LEVELS[(_chosen or DEFAULT)[0]]

    def _write(self, level: str, event: str, parts: tuple[Any, ...], values: dict[str, Any]) -> None:
        if not self.writes(level):
            return
        theirs = _made is None and _is_configured()
        if not theirs and _made != (_chosen or DEFAULT):
            _make(*(_chosen or DEFAULT))
        if parts:
            event %= parts
        import structlog

        bound = structlog.get_logger(self._name).bind(logger=self._name, **self._values)
        getattr(bound, level)(event, **values)


def _is_configured() -> bool:
    """True when the program has set structlog up itself."""
    structlog = sys.modules.get("structlog")
    return structlog is not None and bool(structlog.is_configured()) and not _ours(structlog)


def _ours(structlog: Any) -> bool:
    return bool(getattr(structlog.get_config()["wrapper_class"], "_scraper", False))


def _make(level: str, form: Form) -> None:
    import logging

    import structlog

    global _made
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    if console:
        last: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    wrapper = structlog.make_filtering_bound_logger(LEVELS[level])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            *last,
        ],
        wrapper_class=type("Wrapper", (wrapper,), {"_scraper": True}),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # aiohttp and asyncio speak through the standard library: only what needs a reader is let through.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    _made = (level, form)

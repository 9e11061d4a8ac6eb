"""Logging through structlog, to stderr (a console renderer on a terminal, JSON lines otherwise) or to a file.

A file is for cron: JSON lines, rotated by size, and nothing on stderr. A quiet crawl logs nothing, so
structlog is imported when the first event is written: that is a tenth of the start-up time of a short crawl.
A program that has configured structlog itself gets our events as they are; ``configure`` is for those that
have not.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from scraper.errors import SettingsError
from scraper.url import shown

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Form = Literal["auto", "console", "json"]


class _Choice(NamedTuple):
    level: str = "info"
    form: Form = "auto"
    file: str | None = None
    size: int = 10 * 1024 * 1024
    kept: int = 5


DEFAULT = _Choice()
_chosen: _Choice | None = None
_made: _Choice | None = None
_ends: list[Any] = []
"""What the last set-up has to put away before the next one: open files, what listens to the standard library."""


def configure(
    level: str = "info",
    form: Form = "auto",
    *,
    force: bool = True,
    file: str | os.PathLike[str] | None = None,
    size: int = DEFAULT.size,
    count: int = DEFAULT.kept,
) -> None:
    """Choose what is written (``level`` and above), how and where; ``force`` False keeps an earlier choice.

    The set-up is made at the first event that is written, and made again after each ``force``d call, so
    that it finds the ``sys.stderr`` of that moment.

    Args:
        file: write JSON lines there, and nothing to stderr. Folders are made.
        size: the file is rotated before it outgrows so many bytes.
        count: so many rotated files are kept beside it (``.1`` is the youngest).

    Raises:
        SettingsError: the file cannot be written. That shows here, not at the first event in the middle of a crawl.
    """
    global _chosen, _made
    if force or _chosen is None:
        path = None if file is None else _writable(os.fspath(file))
        while _ends:
            _ends.pop()()
        _chosen, _made = _Choice(level, form, path, size, count), None


def to_file() -> bool:
    """Whether events go to a file, and so are out of sight."""
    return _chosen is not None and _chosen.file is not None


def _writable(file: str) -> str:
    """Its absolute path: a program that changes folders keeps its log file."""
    path = os.path.abspath(file)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8"):
            return path
    except OSError as error:
        at = f" ({error.filename})" if error.filename not in (None, file, path) else ""
        raise SettingsError(
            f"cannot write the log file {file}: {error.strerror or error}{at}; name another place by log_file"
        ) from error


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
        return (_made is None and _is_configured()) or LEVELS[level] >= LEVELS[(_chosen or DEFAULT).level]

    def _write(self, level: str, event: str, parts: tuple[Any, ...], values: dict[str, Any]) -> None:
        if not self.writes(level):
            return
        theirs = _made is None and _is_configured()
        if not theirs and _made != (_chosen or DEFAULT):
            _make(_chosen or DEFAULT)
        if parts:
            event %= parts
        import structlog

        # Passwords of URLs are not for those who read logs.
        values = {name: shown(value) if isinstance(value, str) else value for name, value in values.items()}
        bound = structlog.get_logger(self._name).bind(logger=self._name, **self._values)
        getattr(bound, level)(shown(event), **values)


def _is_configured() -> bool:
    """True when the program has set structlog up itself."""
    structlog = sys.modules.get("structlog")
    return structlog is not None and bool(structlog.is_configured()) and not _ours(structlog)


def _ours(structlog: Any) -> bool:
    return bool(getattr(structlog.get_config()["wrapper_class"], "_scraper", False))


def _make(choice: _Choice) -> None:
    import structlog

    global _made
    console = choice.file is None and (choice.form == "console" or (choice.form == "auto" and sys.stderr.isatty()))
    if console:
        last: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    wrapper = structlog.make_filtering_bound_logger(LEVELS[choice.level])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            *last,
        ],
        wrapper_class=type("Wrapper", (wrapper,), {"_scraper": True}),
        logger_factory=_to_file(choice) if choice.file is not None else structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _hear_others(choice)
    _made = choice


def _to_file(choice: _Choice) -> Any:
    """A logger factory over the standard library's rotating file: one line is one write, so lines stay whole."""
    import logging.handlers

    class Rotating(logging.handlers.RotatingFileHandler):
        complained = False

        def handleError(self, record: logging.LogRecord) -> None:  # a full disk: one sentence, and the crawl goes on
            if not self.complained and sys.stderr is not None:
                print(f"cannot write the log file {choice.file}: {sys.exc_info()[1]}; events are lost", file=sys.stderr)
            self.complained = True

        def close(self) -> None:
            with suppress(OSError):  # what could not be written has been told above
                super().close()

    kept = max(choice.kept, 1)  # for 0 means "never rotate" there, and "keep none" here
    rotating = Rotating(choice.file or "", maxBytes=choice.size, backupCount=kept, encoding="utf-8", delay=True)
    if choice.kept == 0:
        rotating.rotator = lambda source, target: os.remove(source)
    lines = logging.Logger("scraper.lines")  # known to nobody else: what it hears goes to this file and nowhere on
    lines.addHandler(rotating)
    _ends.append(rotating.close)
    return lambda *names: lines


def _hear_others(choice: _Choice) -> None:
    """aiohttp and asyncio speak through the standard library: only what needs a reader is let through."""
    import logging

    class Others(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                Logger(record.name).error(record.getMessage(), exc_info=record.exc_info)
            except Exception:  # as their own do with a record that does not add up: whoever logged goes on
                self.handleError(record)

    root = logging.getLogger()
    if root.handlers:  # a program with logging of its own keeps it
        return
    if choice.file is not None:
        ours: logging.Handler = Others()
    else:
        ours = logging.StreamHandler(sys.stderr)
        ours.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    ours.setLevel(logging.ERROR)
    root.addHandler(ours)
    root.setLevel(logging.ERROR)
    _ends.append(lambda: root.removeHandler(ours))

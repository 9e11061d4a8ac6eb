"""How a command ends: one exit code for each answer that a cron job acts on."""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum
from types import TracebackType

from scraper.errors import CallbackError, ExportError, ScraperError, StoreError, StoreLocked, UsageError
from scraper.log import Logger, to_file

log = Logger("scraper.cli")


class Exit(IntEnum):
    """Exit codes of every command. 75 is EX_TEMPFAIL of sysexits.h: the same command will do later."""

    FINISHED = 0
    FAILED = 1
    USAGE = 2
    RULES = 3
    LEFT = 4
    LOCKED = 75


def code_of(error: Exception) -> Exit:
    """The code for an error that ended a command."""
    if isinstance(error, StoreLocked):
        return Exit.LOCKED
    if isinstance(error, StoreError | ExportError):
        return Exit.LEFT
    return Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED


def complain(error: Exception) -> Exit:
    """Say on stderr what happened. What we foresaw gets one sentence; a bug, ours or a spider's, a traceback too."""
    if not isinstance(error, ScraperError) or isinstance(error, CallbackError):
        cause = error.__cause__ or error
        traceback.print_exception(cause.with_traceback(_below_typer(cause.__traceback__)))
    what = str(error) if isinstance(error, ScraperError) else f"{type(error).__name__}: {error}"
    print(f"Error: {what}", file=sys.stderr)
    code = code_of(error)
    if to_file():  # nobody may have read stderr
        log.error("command_failed", error=what, exit_code=int(code))
    return code


def _below_typer(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from our command on: how the command line got there says nothing."""
    at = trace
    while at is not None and not at.tb_frame.f_globals.get("__name__", "").startswith("scraper.cli."):
        at = at.tb_next
    return at or trace

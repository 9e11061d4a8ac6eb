"""Log set-up: console lines on a terminal, JSON lines otherwise, on stderr, from the level asked for."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from scraper.log import Logger, configure

ROOT = Path(__file__).resolve().parents[1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """Each test sets logging up anew, and leaves it as it was."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    monkeypatch.setattr("scraper.log._chosen", None)
    monkeypatch.setattr("scraper.log._made", None)
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


log = Logger("scraper.test")


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def events(capsys):
    return [line["event"] for line in lines(capsys)]


@pytest.mark.parametrize(("stream", "form"), [(io.StringIO(), "auto"), (Terminal(), "json")])
def test_json_lines_where_nobody_looks_or_when_asked(stream, form, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream)
    configure("info", form)
    log.bind(spider="books").info("loud", url="http://example.org/é", n=2)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "loud",
        "level": "info",
        "logger": "scraper.test",
        "spider": "books",
        "url": "http://example.org/é",
        "n": 2,
    }


@pytest.mark.parametrize(("stream", "form"), [(Terminal(), "auto"), (io.StringIO(), "console")])
def test_console_lines_on_a_terminal_or_when_asked(stream, form, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream)
    configure("info", form)
    log.info("loud", n=2)
    (line,) = stream.getvalue().splitlines()
    assert "loud" in line
    assert not line.startswith("{")


@pytest.mark.parametrize(("level", "said"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_what_is_loud_enough_is_said(level, said, capsys):
    configure(level, "json")
    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)(each)
    assert events(capsys) == ["debug", "info", "warning", "error"][4 - said :]


def test_the_last_choice_counts_unless_it_is_only_a_default(capsys):
    configure("error", "json")
    log.info("quiet")
    configure("debug", "json", force=False)
    log.info("still quiet")
    configure("debug", "json")
    log.debug("loud")
    assert events(capsys) == ["loud"]


def test_a_traceback_is_one_json_line(capsys):
    configure("info", "json")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.exception("broken")
    (line,) = lines(capsys)
    assert "ZeroDivisionError" in line["exception"]


def test_a_program_with_logging_of_its_own_gets_our_events_there(capsys):
    heard = []

    def keep(logger, method, event):
        heard.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    configure("info", "json", force=False)
    log.bind(spider="books").info("loud", n=1)
    assert heard == [{"event": "loud", "logger": "scraper.test", "spider": "books", "n": 1}]
    assert lines(capsys) == []


def python(code):
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout == ""
    return process.stderr.splitlines()


def test_other_libraries_are_heard_from_error_on():
    assert python(
        "import logging; from scraper.log import Logger, configure; configure('error', 'json');"
        "Logger('x').error('first');"
        "logging.getLogger('aiohttp.client').warning('quiet'); logging.getLogger('asyncio').error('loud')"
    )[1:] == ["ERROR asyncio loud"]


def test_a_quiet_crawl_does_not_pay_for_logging():
    (line,) = python(
        "import sys; from scraper.log import Logger, configure; configure('warning', 'json');"
        "Logger('x').info('quiet'); assert 'structlog' not in sys.modules; Logger('x').error('loud')"
    )
    assert json.loads(line)["event"] == "loud"

"""Log set-up: console lines on a terminal, JSON lines otherwise, on stderr, from the level asked for."""

import io
import json
import logging

import pytest
import structlog

from scraper.log import configure


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def own_logging(monkeypatch):
    """Each test sets logging up anew, and leaves it as it was."""
    before = structlog.get_config() if structlog.is_configured() else None
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


def say(monkeypatch, stream, level="info", form="auto"):
    monkeypatch.setattr("sys.stderr", stream)
    configure(level, form)
    log = structlog.get_logger("x")
    log.debug("quiet", n=1)
    log.info("loud", url="http://example.org/é", n=2)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(("stream", "form"), [(io.StringIO(), "auto"), (Terminal(), "json")])
def test_json_lines_where_nobody_looks_or_when_asked(stream, form, monkeypatch):
    (line,) = say(monkeypatch, stream, form=form)
    said = json.loads(line)
    assert (said["event"], said["level"], said["url"], said["n"]) == ("loud", "info", "http://example.org/é", 2)
    assert said["timestamp"].endswith("Z")


@pytest.mark.parametrize(("stream", "form"), [(Terminal(), "auto"), (io.StringIO(), "console")])
def test_console_lines_on_a_terminal_or_when_asked(stream, form, monkeypatch):
    (line,) = say(monkeypatch, stream, form=form)
    assert "loud" in line
    with pytest.raises(ValueError):
        json.loads(line)


@pytest.mark.parametrize(("level", "events"), [("debug", ["quiet", "loud"]), ("info", ["loud"]), ("warning", []), ("error", [])])
def test_only_what_is_loud_enough_is_said(level, events, monkeypatch):
    lines = say(monkeypatch, io.StringIO(), level, "json")
    assert [json.loads(line)["event"] for line in lines] == events


def test_a_traceback_is_one_json_line(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure("info", "json")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        structlog.get_logger().exception("broken")
    (line,) = stream.getvalue().splitlines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_other_libraries_are_heard_from_error_on(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure()
    logging.getLogger("aiohttp.client").warning("quiet")
    logging.getLogger("asyncio").error("loud")
    assert stream.getvalue() == "ERROR asyncio loud\n"

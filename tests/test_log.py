"""Log set-up: console lines on a terminal, JSON lines otherwise, on stderr or in a rotated file."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from scraper.errors import SettingsError
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
    configure()  # puts an open log file away
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


# a log file


def read(path):
    """The events of a log file, every line of which is whole."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_a_log_file_gets_json_lines_and_stderr_nothing(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.chdir(tmp_path)
    configure("info", "console", file="logs/deep/x.log")
    monkeypatch.chdir("/")
    log.debug("quiet")
    log.bind(spider="books").info("loud", url="http://example.org/é", part="100% of %s")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.exception("broken")
    first, second = read(tmp_path / "logs" / "deep" / "x.log")
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "loud",
        "level": "info",
        "logger": "scraper.test",
        "spider": "books",
        "url": "http://example.org/é",
        "part": "100% of %s",
    }
    assert (second["event"], second["level"]) == ("broken", "error")
    assert "ZeroDivisionError" in second["exception"]
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_log_file_is_rotated_and_so_many_are_kept(tmp_path, count):
    file = tmp_path / "x.log"
    configure("info", "json", file=file, size=1000, count=count)
    for number in range(100):
        log.info("event", number=number)
    kept = [file.with_name(f"x.log.{each}") for each in range(count, 0, -1)] + [file]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(each.stat().st_size <= 1000 for each in kept)
    assert all(each.stat().st_size > 800 for each in kept[:-1])
    numbers = [line["number"] for each in kept for line in read(each)]
    assert numbers == list(range(100 - len(numbers), 100)), "the youngest are kept, in order, none cut"


def test_a_log_file_goes_on_where_it_ended(tmp_path):
    for number in range(3):
        configure("info", "json", file=tmp_path / "x.log")
        log.info("run", number=number)
    assert [line["number"] for line in read(tmp_path / "x.log")] == [0, 1, 2]


def test_a_log_file_is_left_when_another_place_is_chosen(tmp_path, capsys):
    configure("info", "json", file=tmp_path / "x.log")
    log.info("first")
    configure("info", "json")
    log.info("second")
    assert [line["event"] for line in read(tmp_path / "x.log")] == ["first"]
    assert events(capsys) == ["second"]


@pytest.mark.parametrize("place", ["", "a file/x.log", "a file/deep/x.log", "x" * 300 + ".log"])
def test_a_log_file_that_cannot_be_written_is_told_before_anything_happens(tmp_path, place):
    (tmp_path / "a file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write the log file .*; name another place by log_file"):
        configure("info", "json", file=tmp_path / place)


def test_a_log_file_that_fails_later_is_told_once(tmp_path, capsys):
    configure("info", "json", file="/dev/full")
    log.info("first")
    log.info("second")
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot write the log file /dev/full" in line


def test_other_libraries_are_heard_in_the_log_file(tmp_path):
    said = python(
        "import logging; from scraper.log import Logger, configure;"
        f"configure('info', 'json', file={str(tmp_path / 'x.log')!r});"
        "Logger('x').info('first');"
        "logging.getLogger('aiohttp.client').warning('quiet'); logging.getLogger('asyncio').error('100%% %s', 'loud')"
    )
    assert said == []
    assert [(line["logger"], line["event"]) for line in read(tmp_path / "x.log")] == [
        ("x", "first"),
        ("asyncio", "100% loud"),
    ]


def test_a_quiet_crawl_does_not_pay_for_its_log_file(tmp_path):
    said = python(
        "import sys; from scraper.log import Logger, configure;"
        f"configure('warning', 'json', file={str(tmp_path / 'x.log')!r}); Logger('x').info('quiet');"
        "assert not {'structlog', 'logging.handlers'} & set(sys.modules)"
    )
    assert said == []
    assert read(tmp_path / "x.log") == []

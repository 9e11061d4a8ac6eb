"""``scraper schedule``: what cron and systemd are given, and what is left alone in a crontab."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scraper.errors import UsageError
from scraper.schedule import Job, block, calendar, install, installed, parse, remove, units

ALL = {"minutes": 60, "hours": 24, "days": 31, "months": 12, "weekdays": 7}

needs_crontab = pytest.mark.skipif(not shutil.which("crontab"), reason="there is no crontab; apt-get install cron")
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd-analyze; apt-get install systemd"
)


# expressions


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("* * * * *", {}),
        ("*/30 * * * *", {"minutes": {0, 30}}),
        ("5,50-52 * * * *", {"minutes": {5, 50, 51, 52}}),
        ("10-40/15 * * * *", {"minutes": {10, 25, 40}}),
        ("0 22-23,0-2 * * *", {"minutes": {0}, "hours": {22, 23, 0, 1, 2}}),
        ("00 007 * * *", {"minutes": {0}, "hours": {7}}),
        ("0 0 1 jan,DEC *", {"minutes": {0}, "hours": {0}, "days": {1}, "months": {1, 12}}),
        ("* * * mar-nov/4 *", {"months": {3, 7, 11}}),
        ("* * * * mon-Fri", {"weekdays": {1, 2, 3, 4, 5}}),
        ("* * * * 7", {"weekdays": {0}}),
        ("* * * * sun,sat", {"weekdays": {0, 6}}),
        ("* * * * 5-7", {"weekdays": {5, 6, 0}}),
        ("* * * * 0-7", {}),
        ("* * */10 * *", {"days": {1, 11, 21, 31}}),
        ("@hourly", {"minutes": {0}}),
        ("@daily", {"minutes": {0}, "hours": {0}}),
        ("@weekly", {"minutes": {0}, "hours": {0}, "weekdays": {0}}),
        ("@monthly", {"minutes": {0}, "hours": {0}, "days": {1}}),
        ("@yearly", {"minutes": {0}, "hours": {0}, "days": {1}, "months": {1}}),
        (" */5\t*  * * * ", {"minutes": set(range(0, 60, 5))}),
    ],
)
def test_an_expression_means(text: str, fields: dict[str, set[int]]) -> None:
    cron = parse(text)
    for name, size in ALL.items():
        low = 1 if name in ("days", "months") else 0
        assert getattr(cron, name) == fields.get(name, set(range(low, low + size))), name
    assert cron.text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "either"),
    [("0 0 1 * mon", True), ("0 0 1 * *", False), ("0 0 * * 1", False), ("0 0 */2 * 1", False), ("0 0 1-31 * 1", True)],
)
def test_two_kinds_of_days_are_either_or_unless_one_begins_with_a_star(text: str, either: bool) -> None:
    assert parse(text).either is either


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 fields, not five: minute, hour, day of month, month, day of week"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("60 * * * *", "minute '60': value '60' is not 0 to 59"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of month '0'"),
        ("* * * 13 *", "month '13'"),
        ("* * * january *", "is not 1 to 12, or jan, feb"),
        ("* * * * 8", "day of week '8'"),
        ("* * * * fri-sun", "fri-sun goes backwards"),
        ("* 22-6 * * *", "22-6 goes backwards; write the two halves"),
        ("5/10 * * * *", "a step needs a range: write 5-59/10"),
        ("*/0 * * * *", "step '0' is not 1 to 60"),
        ("*/90 * * * *", "step '90' is not 1 to 60"),
        ("*/ * * * *", "step '' is not"),
        ("1,,2 * * * *", "value '' is not"),
        ("*-5 * * * *", "value '*' is not"),
        ("+5 * * * *", "value '+5' is not"),
        ("² * * * *", "value '²' is not"),
        ("mon * * * *", "minute 'mon'"),
        ("0 0 L * *", "value 'L' is not"),
        ("0 0 30 feb *", "never comes"),
        ("0 0 31 4,6,9,11 */2", "never comes"),
        ("@reboot", "of the names there are @yearly"),
        ("@Daily", "of the names there are @yearly"),
        ("@daily * * * *", "of the names"),
    ],
)
def test_a_mistake_names_its_field(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


TIMES = [  # what systemd is told, and when that is, counted from Monday, 1 January 2024
    ("*/30 * * * *", ["*-*-* *:00,30:00"], "01-01 00:30, 01-01 01:00, 01-01 01:30"),
    ("* * * * *", ["*-*-* *:*:00"], "01-01 00:01, 01-01 00:02, 01-01 00:03"),
    ("@hourly", ["*-*-* *:00:00"], "01-01 01:00, 01-01 02:00, 01-01 03:00"),
    ("@weekly", ["Sun *-*-* 00:00:00"], "01-07 00:00, 01-14 00:00, 01-21 00:00"),
    ("15 4 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 04:15:00"], "01-01 04:15, 01-02 04:15, 01-03 04:15"),
    ("0 12 * * 6,7", ["Sat,Sun *-*-* 12:00:00"], "01-06 12:00, 01-07 12:00, 01-13 12:00"),
    ("*/20 9-17 * * 1", ["Mon *-*-* 09..17:00..40/20:00"], "01-01 09:00, 01-01 09:20, 01-01 09:40"),
    ("0 0 31 1-12/2 *", ["*-01..11/2-31 00:00:00"], "01-31 00:00, 03-31 00:00, 05-31 00:00"),
    ("5 0 13 * fri", ["*-*-13 00:05:00", "Fri *-*-* 00:05:00"], "01-05 00:05, 01-12 00:05, 01-13 00:05"),
    ("0 0 */2 * mon", ["Mon *-*-01..31/2 00:00:00"], "01-15 00:00, 01-29 00:00, 02-05 00:00"),
    ("0 6 1-31 * mon", ["*-*-* 06:00:00"], "01-01 06:00, 01-02 06:00, 01-03 06:00"),
    ("0 6 5 * 0-6", ["*-*-* 06:00:00"], "01-01 06:00, 01-02 06:00, 01-03 06:00"),
    ("59 23 3-9/3,28 feb *", ["*-02-03,06,09,28 23:59:00"], "02-03 23:59, 02-06 23:59, 02-09 23:59"),
]


@pytest.mark.parametrize(("text", "lines", "times"), TIMES)
def test_an_expression_in_the_words_of_systemd(text: str, lines: list[str], times: str) -> None:
    assert calendar(parse(text)) == lines


@needs_systemd
@pytest.mark.parametrize(("text", "lines", "times"), TIMES)
def test_systemd_takes_them_for_the_same_times(text: str, lines: list[str], times: str) -> None:
    command = ["systemd-analyze", "calendar", "--base-time=2024-01-01 00:00:00", "--iterations=3", *lines]
    done = subprocess.run(command, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = sorted(set(re.findall(r"(?:elapse|Iter\. #\d): \w+ 2024-(\d\d-\d\d \d\d:\d\d):00 UTC", done.stdout)))
    assert ", ".join(found[:3]) == times


# the crontab


def job(spider: str = "books", folder: str = "/srv/shop", cron: str = "*/30 * * * *", **more: str) -> Job:
    return Job(spider, Path(folder), ("/usr/bin/python3", "-m", "scraper", "crawl", spider), parse(cron), **more)


FOREIGN = [
    "",
    "# mine\n",
    "MAILTO=me\n0 3 * * * backup  \t\n\n\n# \x0b \u2028 \r\n@reboot x\n",
    "0 3 * * * backup\n# scraper schedule: books in /srv\n",
]


def test_a_block_is_a_line_between_marks() -> None:
    assert block(job(), "", "me").splitlines() == [
        "# scraper schedule: books in /srv/shop",
        "*/30 * * * * cd /srv/shop && /usr/bin/python3 -m scraper crawl books",
        "# end of scraper schedule: books in /srv/shop",
    ]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_installing_twice_changes_nothing_and_removing_leaves_all_else(foreign: str) -> None:
    once = install(foreign, job(), "me")
    assert once == foreign + block(job(), foreign, "me") == install(once, job(), "me")
    assert installed(once, "books", Path("/srv/shop")) == block(job(), foreign, "me")
    assert remove(once, "books", Path("/srv/shop")) == foreign == remove(foreign, "books", Path("/srv/shop"))


def test_a_changed_schedule_replaces_its_own_block_only() -> None:
    others = [job("books", "/srv/other"), job("books2"), job("book"), job("books", "/srv/shop/books in x")]
    text = FOREIGN[2]
    for each in (others[0], job(), *others[1:]):
        text = install(text, each, "me") + "# between\n"
    changed = install(text, job(cron="@daily", mailto="a@b"), "me")
    assert changed == text.replace(block(job(), "", ""), block(job(cron="@daily", mailto="a@b"), FOREIGN[2], "me"))
    assert changed != text
    for each in others:
        assert installed(changed, each.spider, each.folder) == block(each, "", "me")
    assert install(changed, job(), "me") == text


def test_a_crontab_whose_last_line_does_not_end() -> None:
    text = install("0 3 * * * backup", job(), "me")
    assert text == "0 3 * * * backup\n" + block(job(), "", "me")
    assert install(text[:-1], job(), "me") == text


def test_an_address_counts_for_one_block_only() -> None:
    mine = job(mailto="ops@example.org")
    lines = block(mine, "", "me").splitlines()
    assert lines[1] == 'MAILTO="ops@example.org"'
    assert lines[3:] == ['MAILTO="me"', "# end of scraper schedule: books in /srv/shop"]
    above = "MAILTO=first\n MAILTO = second@example.org\nPATH=/bin\n"
    assert block(mine, above, "me").splitlines()[3] == " MAILTO = second@example.org"
    both = install(install(above, job("other", mailto="x"), "me"), mine, "me")
    assert both.splitlines()[-2] == " MAILTO = second@example.org"
    assert block(job(mailto=""), "", "me").splitlines()[1] == 'MAILTO=""'


@pytest.mark.parametrize("cut", ["# scraper schedule: books in /srv/shop", "# end of scraper schedule: books"])
def test_a_block_that_was_cut_is_not_guessed_at(cut: str) -> None:
    text = install("0 3 * * * backup\n", job(), "me") + "0 4 * * * more\n"
    broken = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(cut))
    for attempt in (lambda: install(broken, job(), "me"), lambda: remove(broken, "books", Path("/srv/shop"))):
        with pytest.raises(UsageError, match="mend it with crontab -e"):
            attempt()


ODD = [
    "it's",
    'a "b"',
    "100%",
    "%%",
    "\\",
    "a\\\\\\b",
    "\\%",
    "%\\",
    "$HOME `id` $(id)",
    "a;b&c|d>e*?~#!",
    "-é\u4e2d",
    "",
]


def as_cron(line: str, collapses: bool) -> str:
    """The command that cron gives to the shell: ``\\%`` is ``%``, and with some crons ``\\\\`` is ``\\``."""
    text = re.sub(r"\\([%\\])" if collapses else r"\\(%)", lambda found: "\0" if found[1] == "%" else found[1], line)
    assert "%" not in text, "a bare one ends the command"
    return text.replace("\0", "%")


@pytest.mark.parametrize("collapses", [False, True])
def test_odd_paths_and_arguments_reach_the_crawl(tmp_path: Path, collapses: bool) -> None:
    program = "import json, os, sys; print(json.dumps([os.getcwd(), sys.argv[1:]]))"
    for odd in ODD[:-1]:
        folder = tmp_path / odd
        folder.mkdir()
        mine = Job(odd, folder, (sys.executable, "-c", program, *ODD), parse("* * * * *"))
        text = install("", mine, "me")
        assert install(text, mine, "me") == text
        command = as_cron(text.splitlines()[1].split(maxsplit=5)[5], collapses)
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [str(folder), ODD]
        assert remove(text, odd, folder) == ""


@needs_crontab
def test_cron_takes_what_we_take() -> None:
    texts = [text for text, *_ in TIMES] + ["5,50-52 * * * *", "0 0 1 jan,DEC *", "* * * mar-nov/4 *", "@yearly"]
    jobs = [job(f"spider{number}", cron=text) for number, text in enumerate(texts)]
    jobs += [job(odd, f"/srv/{odd}", mailto="x@example.org") for odd in ODD]
    text = ""
    for each in jobs:
        text = install(text, each, "me")
    longest = job("x" * 899)  # cd … && … comes to 998 bytes
    text = install(text, job("x" * (899 - len(block(longest, "", "").splitlines()[1]) + 998 + 13)), "me")
    done = subprocess.run(["crontab", "-n", "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (job(folder="/srv/a\nb"), "line break"),
        (job(spider="a\0b"), "line break"),
        (job(spider="x" * 1000), "put settings into scraper.toml"),
        (job(mailto='x"; rm'), "no address"),
        (job(mailto="a b"), "no address"),
    ],
)
def test_what_cron_could_not_take_is_refused(mine: Job, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        install("", mine, "me")


# systemd


@needs_systemd
@pytest.mark.parametrize("odd", ["books", *ODD[:-1]])
def test_systemd_verifies_the_units(tmp_path: Path, odd: str) -> None:
    folder = tmp_path / odd
    folder.mkdir()
    mine = Job(odd, folder, (sys.executable, "-m", "scraper", "crawl", *ODD), parse("5 0 13 * fri"))
    texts = units(mine, 20.5)
    for file, text in texts.items():
        (tmp_path / file).write_text(text)
    paths = [str(tmp_path / file) for file in texts]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "scraper-" in line]  # not what it thinks of others
    assert (done.returncode, said) == (0, []), done.stderr


def test_units_escape_what_stands_for_something() -> None:
    service, timer = units(
        Job("a%b", Path("/srv/100%"), ("/bin/py", "50%", "$x", 'a "b"', "\\", ";"), parse("@daily")), 5
    )
    assert (service, timer) == ("scraper-a_b.service", "scraper-a_b.timer")
    text = units(Job("a%b", Path("/srv/100%"), ("/bin/py", "50%", "$x", 'a "b"', "\\", ";"), parse("@daily")), 5)[
        service
    ]
    assert "Description=Crawl of a%%b\n" in text
    assert "WorkingDirectory=/srv/100%%\n" in text
    assert r'ExecStart=/bin/py 50%% $$x "a \"b\"" "\\" ";"' + "\n" in text
    assert "TimeoutStopSec=35\n" in text

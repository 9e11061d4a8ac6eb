"""A short run of scripts/fuzz, the same each time; and that a crash, a hang and a wrong answer do not pass it by."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment

TARGETS = """
import os, signal
from child import Target
from hypothesis import strategies as st

def dies(data):
    if b"!" in data:
        os.kill(os.getpid(), signal.SIGSEGV)

def loops(data):
    while b"!" in data:
        pass

def errs(data):
    assert b"!" not in data

def holds(data):
    assert isinstance(data, bytes)

INPUTS = st.sampled_from([b"a", b"b!"])
TARGETS = [Target(check.__name__, INPUTS, check) for check in (dies, loops, errs, holds)]
"""


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "fuzzing" / "fuzz.py", *arguments]
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, env=environment())


def test_nothing_is_found(tmp_path: Path) -> None:
    done = fuzz("--runs", 15, "--seed", 7, "--limit", 60, "--finds", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    fed = dict(re.findall(r"^(\w+) +(\d+) inputs", done.stdout, re.M))
    of_answers = {"page", "selector", "charset", "url", "nesting", "body", "robots", "headers", "feeds"}
    assert set(fed) == of_answers | {"form", "curl", "proxy", "jars"}
    assert min(map(int, fed.values())) >= 15
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "told"), [("dies", "crash: SIGSEGV"), ("loops", "hang: more than 1 s"), ("errs", "AssertionError")]
)
def test_a_find_is_told_and_kept(name: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(TARGETS)
    finds = tmp_path / "finds"
    own = ("--targets", file, "--finds", finds, "--limit", 1, "--engine", "hypothesis", "--only", name)
    done = fuzz("--runs", 5, "--seed", 1, *own)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout
    [kept] = finds.iterdir()
    assert kept.read_bytes() == b"b!"
    again = fuzz("--input", kept, *own)
    assert again.returncode == 1
    assert told in again.stdout


def test_what_comes_after_a_crash_has_its_turn(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(TARGETS)
    own = ("--targets", file, "--finds", tmp_path / "finds", "--limit", 1, "--engine", "hypothesis")
    done = fuzz("--runs", 2, "--seed", 1, *own)
    assert done.returncode == 1
    assert re.search(r"^holds +2 inputs", done.stdout, re.M)
    assert done.stdout.splitlines()[-1].endswith("3 found")

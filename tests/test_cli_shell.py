"""scraper shell: the session behind the prompt, code on the command line, the prompt itself."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Cli, environment

from scraper import Response, Settings, Spider
from scraper.cli.shell import Session
from scraper.log import configure

PAGE = "<html><head><title>T</title></head><body><h1>Hello</h1><a href='/two'>two</a></body></html>"


class Plain(Spider):
    def parse(self, response: Response) -> None: ...


@pytest.fixture
def own_log() -> Iterator[None]:
    """What is logged here goes to the stderr of this test, and of no later one."""
    yield
    configure()


@pytest.mark.usefixtures("own_log")
def test_the_shell_keeps_one_session(bookshop_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    spider = Plain()
    spider.start_urls = [bookshop_url]
    with Session(spider, Settings()) as session:
        names = session.names
        names["fetch"](bookshop_url)
        names["fetch"]("catalogue/page-2.html")
        assert names["response"].url == f"{bookshop_url}catalogue/page-2.html"
        assert len(names["css"]("article.product_pod")) == 20
        names["fetch"](names["response"].follow(names["css"]("li.next a")[0]))
        assert names["request"].url == f"{bookshop_url}catalogue/page-3.html"
        assert [each.reused for each in names["exchanges"]] == [False, True, True, True]
        with pytest.raises(Exception, match="nothing") as caught:
            names["fetch"]("http://127.0.0.1:1/nothing")
        assert [frame.name for frame in caught.traceback] == [caught.traceback[0].name, "fetch"]
        assert names["response"].url == f"{bookshop_url}catalogue/page-3.html"
    assert "connection kept" in capsys.readouterr().err
    assert not session._thread.is_alive()


@pytest.mark.usefixtures("own_log")
def test_ctrl_c_at_the_prompt_gives_the_page_up(silent: socket.socket) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    taken: list[socket.socket] = []

    def press() -> None:
        taken.append(silent.accept()[0])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    with Session(Plain(), Settings(obey_robots=False)) as session:
        with pytest.raises(KeyboardInterrupt):
            session.names["fetch"](url)
        pressing.join()
        with taken[0] as connection:
            connection.settimeout(20)
            while connection.recv(65536):
                pass  # until our side has closed it


@pytest.mark.parametrize(
    ("code", "status", "out"),
    [
        ("response.url", 0, "https://example.org/p\n"),
        ('x = css("a::attr(href)").getall(); x', 0, "['/two']\n"),
        ("spider.name", 0, "shell\n"),
        ("None", 0, ""),
        ("1 / 0", 1, ""),
        ("1 /", 2, ""),
        ('css("a:::")', 1, ""),
        ('fetch("http://127.0.0.1:1/")', 1, ""),
    ],
    ids=["expression", "statements", "spider", "none", "raises", "syntax", "selector", "refused"],
)
def test_code_for_the_shell(here: Cli, tmp_path: Path, code: str, status: int, out: str) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    done = here("shell", "page.html", "--url", "https://example.org/p", "-c", code)
    assert (done.returncode, done.stdout) == (status, out), done.stderr
    if status:
        assert "cli/shell.py" not in done.stderr  # no frame of ours


def test_every_name_at_the_prompt_is_in_the_manual() -> None:
    text = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
    rows = "".join(line for line in text.splitlines() if line.startswith("| `"))
    with Session(Plain(), Settings()) as session:
        assert [name for name in session.names if not re.search(rf"`{name}[(`]", rows)] == []


@pytest.mark.parametrize("prompt", [["--plain"], []], ids=["python", "ipython"])
def test_the_prompt_has_the_names(tmp_path: Path, prompt: list[str], bookshop_url: str) -> None:
    if not prompt:
        pytest.importorskip("IPython")
    (tmp_path / "page.html").write_text(PAGE)
    lines = f'css("h1::text").get()\nfetch("{bookshop_url}")\nresponse.status + 1000\n'
    command = [sys.executable, "-m", "scraper", "shell", "page.html", *prompt]
    given = environment(IPYTHONDIR=str(tmp_path / "ipython"))
    done = subprocess.run(command, cwd=tmp_path, env=given, input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'Hello'" in done.stdout
    assert "1200" in done.stdout
    assert "<200 http://localhost/page.html>" in done.stdout + done.stderr  # the banner

"""What several tests need: loops, the demo site on a real socket, and the command line as a process of its own."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from prefork import Forks

from scraper.cli import main
from scraper.log import configure
from scraper.testing.bookshop import serve

pytest.register_assert_rewrite("counting", "fetching")  # what they find is told as fully as in a test

ROOT = Path(__file__).resolve().parents[1]

Cli = Callable[..., subprocess.CompletedProcess[str]]
StartCli = Callable[..., "subprocess.Popen[str]"]
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops a test names, ``pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])``, or asyncio's own."""
    mark = item.get_closest_marker("asyncio")
    named = mark.kwargs.get("loop_factories") if mark else None
    return {name: LOOPS[name] for name in named or ["asyncio"]}


@pytest.fixture(scope="session")
def bookshop_url() -> Iterator[str]:
    """The demo site on a free port of loopback. It has a thread of its own, so that blocking tests can use it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bookshop")
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def environment(**more: str) -> dict[str, str]:
    """Ours without settings of the developer's, and the width that xdist sets; able to import this very checkout."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SCRAPER_", "COLUMNS"))}
    return ours | {"PYTHONPATH": str(ROOT)} | more


@pytest.fixture
def start_cli(tmp_path: Path) -> Iterator[StartCli]:
    """``start_cli("crawl", "books", SCRAPER_X="1")``: the command begun in a scratch folder; killed at the end."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "scraper", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    made = Forks(environment())
    yield made
    made.close()


@pytest.fixture
def cli(forks: Forks, tmp_path: Path) -> Cli:
    """``cli("crawl", "books")``: the command run to its end in a scratch folder."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return forks.run([*map(str, arguments)], tmp_path, environment(**variables))

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """As ``cli``, in this very process: for commands that are no crawl, in tests to which a process is not the point.
    Also from a thread, beside a server in the loop of the test, though never two at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = {*sys.modules}

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        given = [*map(str, arguments)]
        coding = variables.get("PYTHONIOENCODING", "utf-8")
        code, streams = 0, [TextIOWrapper(BytesIO(), encoding=coding, write_through=True) for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            for name in [*os.environ]:
                if name.startswith(("SCRAPER_", "COLUMNS")):
                    patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["scraper", *given])
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        configure()  # what is logged from now on does not go to this stderr
        return subprocess.CompletedProcess(given, code, *(each.buffer.getvalue().decode(coding) for each in streams))

    yield run
    for name in {*sys.modules} - known:  # a spider of the scratch folder
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


FRONT = """
from scraper import Spider

class Front(Spider):
    "The first titles of the shop."

    def __init__(self, start: str, most: int = 20) -> None:
        self.start_urls = [start]
        self.most = most

    def parse(self, response):
        for link in response.css("article.product_pod h3 a")[: self.most]:
            yield {"title": link.attrib["title"], "tags": ["a", "b"]}
"""


@pytest.fixture
def spiders(tmp_path: Path) -> Path:
    """``./spiders`` of the scratch folder: the real ``books``, and ``front``, which asks for one page."""
    folder = tmp_path / "spiders"
    folder.mkdir()
    shutil.copy(ROOT / "spiders" / "books.py", folder)
    (folder / "front.py").write_text(FRONT)
    return folder


@pytest.fixture
def certificate() -> ssl.SSLContext:
    """TLS for a server on loopback, vouched for by an authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listening socket that never answers by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)  # a crawl that never comes fails the test instead of holding it up
        yield server


def front(url: str, *more: object) -> tuple[object, ...]:
    return ("crawl", "front", "-a", f"start={url}", *more)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def last_event(text: str) -> dict[str, Any]:
    return events(text)[-1]

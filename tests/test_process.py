"""What a crawl asks of its process: signals, even when a callback never returns; handlers given back."""

import signal
import subprocess
import sys

STUCK = """
import signal, sys
import scraper
from scraper.testing import FakeFetcher

class Stuck(scraper.Spider):
    start_urls = ["http://a.test/"]

    def parse(self, response):
        print("stuck", flush=True)
        while True:
            pass

scraper.run(Stuck, db=sys.argv[1], fetcher=FakeFetcher({"http://a.test/": ""}))
"""

HANDLERS = """
import signal, sys
import scraper
from scraper.testing import FakeFetcher

class Quick(scraper.Spider):
    start_urls = ["http://a.test/"]

    def parse(self, response):
        assert signal.getsignal(signal.SIGTERM) is not mine

def mine(*_):
    pass

signal.signal(signal.SIGTERM, mine)
scraper.run(Quick, db=sys.argv[1], fetcher=FakeFetcher({"http://a.test/": ""}))
assert signal.getsignal(signal.SIGTERM) is mine
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


def test_two_signals_end_a_crawl_whose_callback_never_returns(tmp_path):
    command = [sys.executable, "-c", STUCK, str(tmp_path / "stuck.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()  # else a broken promise would hang the suite too
        assert "KeyboardInterrupt" in errors
        assert process.returncode not in (0, None)


def test_the_callers_handlers_are_given_back(tmp_path):
    done = subprocess.run([sys.executable, "-c", HANDLERS, str(tmp_path / "quick.db")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""``scraper shell``: a page at a Python prompt."""

from __future__ import annotations

import ast
import asyncio
import sys
import threading
import traceback
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from scraper.cli import options
from scraper.cli.exits import Exit
from scraper.cli.single import BaseUrl, IgnoreRobots, OfSpider, asker, from_file, request_of, waits
from scraper.errors import ScraperError, UsageError
from scraper.oneoff import OneOff
from scraper.request import Request
from scraper.response import Response
from scraper.selector import SelectorList
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.url import resolve

T = TypeVar("T")

HELP = """\
  response     the page: response.css("h1::text").get(), .url, .status, .headers, .text, .json(), .links()
  css(query)   response.css(query)
  fetch(url)   get a page into response, in the same session; also a Request, or a link of this page
  view()       open the response in the browser
  spider, settings, request, exchanges (what went over the wire), Request; shelp() shows this"""


def shell(
    url: Annotated[str | None, typer.Argument(metavar="[URL|FILE]", help="A page, or a file it was saved to.")] = None,
    code: Annotated[
        str | None, typer.Option("-c", "--code", metavar="CODE", help="Run it, print what it comes to, and end.")
    ] = None,
    base: BaseUrl = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Follow redirects.")] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Python's own prompt, though IPython is there.")] = False,
    ignore_robots: IgnoreRobots = False,
    spider: OfSpider = None,
    argument: options.Arguments = None,
    setting: options.Given = None,
) -> None:
    """Look at a page at a Python prompt.

    IPython when it is installed (pip install 'scraper[shell]'), else Python's own. What is fetched goes through one
    session, as in a crawl: connections and cookies are kept from one fetch() to the next. A FILE needs no network.

    \b
    Examples:
      scraper shell http://127.0.0.1:8000/
      scraper shell page.html --url https://books.toscrape.com/
      scraper shell http://127.0.0.1:8000/ -c 'css("h3 a::attr(title)").getall()'
      scraper shell --spider books
    """
    page = from_file(url, base) if url is not None else None
    if url is None and base is not None:
        raise UsageError("--url says where a FILE comes from; give the file, too")
    asking, settings = asker(spider, argument, setting, url if page is None else page.url, ignore_robots)
    with Session(asking, settings) as session:
        if page is not None:
            session.show(page)
        elif url is not None:
            session.get(request_of(url, None, None, None), follow)
        if code is not None:
            _run(code, session.names)
        elif plain or not _ipython(session):
            _prompt(session)


class Session:
    """The names at the prompt, and a loop in a thread of its own that keeps the session of the crawl.

    The prompt is synchronous and has the main thread; connections live on while it waits for the next line.
    """

    def __init__(self, spider: Spider, settings: Settings) -> None:
        self._oneoff = OneOff(spider, settings, waits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="session", daemon=True)
        self.names: dict[str, Any] = {
            "Request": Request,
            "css": self.css,
            "exchanges": [],
            "fetch": self.fetch,
            "request": None,
            "response": None,
            "settings": settings,
            "shelp": lambda: print(HELP),
            "spider": spider,
            "view": self.view,
        }

    def __enter__(self) -> Session:
        self._thread.start()
        try:
            self._do(self._oneoff.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._do(self._oneoff.close())
        finally:
            self._end()

    def fetch(self, url: str | Request, follow: bool = True, **arguments: Any) -> None:
        """Get a page into ``response``: a URL, one relative to this page's, or a Request.

        ``arguments`` are those of Request: ``fetch(url, method="POST", body="a=b")``. Raises FetchError, RequestError.
        """
        try:
            if isinstance(url, Request):
                request = url.replace(**arguments) if arguments else url
            else:
                here: Response | None = self.names["response"]
                found = resolve(here.url, url) if here is not None else None
                request = Request(found or url, **arguments)
            self.get(request, follow)
        except ScraperError as error:
            raise error.with_traceback(None) from None  # its frames are ours, and say nothing
        answer: Response = self.names["response"]
        kept = "" if answer.seen.reused is None else ", connection kept" if answer.seen.reused else ", new connection"
        print(f"{answer!r}: {len(answer.body):,} bytes in {answer.seen.elapsed * 1000:.1f} ms{kept}", file=sys.stderr)

    def get(self, request: Request, follow: bool = True) -> None:
        """Get it into ``response``, following redirects."""
        self.show(self._do(self._oneoff.get(request, follow))[-1])

    def show(self, response: Response) -> None:
        """Make it the page at the prompt."""
        self.names |= {"response": response, "request": response.request, "exchanges": self._oneoff.exchanges}

    def css(self, query: str) -> SelectorList:
        """Matches in the page at the prompt."""
        return self._page().css(query)

    def view(self, response: Response | None = None, scripts: bool = False) -> str:
        """Open a page, by default that at the prompt, in the browser; the path of its file."""
        from scraper.cli.view import kept, opened_in_browser

        path = kept(response or self._page(), scripts)
        if not opened_in_browser(path):
            print("there is no browser to open it with", file=sys.stderr)
        return str(path)

    def _page(self) -> Response:
        response: Response | None = self.names["response"]
        if response is None:
            raise UsageError("there is no response yet; get one with fetch(url)")
        return response

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the loop do it and wait; Ctrl-C gives it up, and the session is kept."""
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result()
        except KeyboardInterrupt:
            doing.cancel()
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def _run(code: str, names: dict[str, Any]) -> None:
    """Run the code; if it ends with an expression, print what that comes to, as a prompt would."""
    try:
        tree = ast.parse(code, "<code>")
    except SyntaxError as error:
        raise UsageError(f"-c {code!r}: {error}") from None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    try:
        exec(compile(tree, "<code>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<code>", "eval"), names)
            if value is not None:
                print(value if isinstance(value, str) else repr(value))
    except ScraperError:
        raise
    except Exception as error:
        trace = error.__traceback__
        traceback.print_exception(error.with_traceback(trace.tb_next if trace is not None else None))
        raise typer.Exit(Exit.FAILED) from None


def _banner(session: Session) -> str:
    response = session.names["response"]
    return f"{response!r}\n{HELP}" if response is not None else f"No page yet: fetch(url)\n{HELP}"


def _ipython(session: Session) -> bool:
    """Whether there is an IPython that could take over."""
    try:
        from IPython import start_ipython
        from traitlets.config import Config
    except ImportError:
        return False
    config = Config()
    config.TerminalInteractiveShell.banner1 = _banner(session) + "\n"
    config.TerminalInteractiveShell.banner2 = ""
    start_ipython(argv=[], user_ns=session.names, config=config)
    return True


def _prompt(session: Session) -> None:
    import code

    try:
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(session.names).complete)
        readline.parse_and_bind("tab: complete")
    except ImportError:  # Python was built without it: no history, no completion
        pass
    code.interact(banner=_banner(session), local=session.names, exitmsg="")

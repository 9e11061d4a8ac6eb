"""LocalSite: a real web server on loopback whose pages are a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

Answer = web.StreamResponse | str | bytes | tuple[Any, ...] | Callable[[web.Request], Any]


class LocalSite:
    """``async with LocalSite({"/": "<h1>Hello</h1>"}) as site:`` serves it at ``site.url("/")``.

    Args:
        pages: path (with its query, as it stands in the URL) to what it gives: HTML (str or bytes), a tuple
            ``(status, body, headers)`` cut short where the rest is plain, an aiohttp response, or a
            function (plain or async) of the aiohttp request that returns one of these. Others answer 404.

    ``pages`` may be changed while it runs. ``requests`` counts by path, ``log`` has ``METHOD path`` in order.
    """

    def __init__(self, pages: Mapping[str, Answer]) -> None:
        self.pages: dict[str, Answer] = dict(pages)
        self.requests: Counter[str] = Counter()
        self.log: list[str] = []
        self._origin = ""
        self._runner: web.AppRunner | None = None

    def url(self, path: str = "/") -> str:
        """The absolute URL of a path. Only known while the server runs."""
        if not self._origin:
            raise RuntimeError("LocalSite has a URL only inside 'async with'")
        return self._origin + path

    async def __aenter__(self) -> LocalSite:
        self._runner = web.AppRunner(_app(self._answer), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._origin = ""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        self.requests[path] += 1
        self.log.append(f"{request.method} {path}")
        answer: Any = self.pages.get(path, 404)
        if callable(answer):
            answer = answer(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        return _response(answer)


def _app(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def _response(answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    parts = answer if isinstance(answer, tuple) else (answer,)
    status, *rest = parts if isinstance(parts[0], int) else (200, *parts)
    body = rest[0] if rest else b""
    given = rest[1] if len(rest) > 1 else {}
    headers = CIMultiDict({"Content-Type": "text/html; charset=utf-8"})
    headers.update(given)
    return web.Response(status=status, body=body.encode() if isinstance(body, str) else body, headers=headers)

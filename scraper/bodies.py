"""FormRequest and JsonRequest: requests whose body is made of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from scraper.errors import ParseError, RequestError
from scraper.formdata import MULTIPART, PLAIN, URLENCODED, Entry, Upload, entries_of, form_body, uploads_of, urlencoded
from scraper.request import CallbackRef, Request
from scraper.url import canonical, origin_of

if TYPE_CHECKING:
    from scraper.response import Response

ENCTYPES = (URLENCODED, MULTIPART, PLAIN)

_encode = msgspec.json.Encoder().encode


class FormRequest(Request):
    """A form that is sent.

    Args:
        url: as of Request.
        callback: as of Request.
        formdata: a dict or pairs; a list as a value gives its name once for each, numbers become text.
        files: names to a path, ``(filename, bytes)`` or ``(filename, bytes, content type)``, or a list of these; read
            at once. The body is multipart/form-data then.
        method: POST when there is formdata or a file, else GET. With GET the formdata takes the place of the query.
        enctype: how the body is written; ``application/x-www-form-urlencoded`` without files.
        encoding: of names and values; what it lacks is sent as ``&#N;``, as browsers do.
        headers, body and all others: as of Request.

    Raises:
        RequestError: as Request does; for values that are no text, a file that cannot be read, a body of more than
            16 MiB.
    """

    __slots__ = ()
    MADE_OF = ("formdata", "files", "enctype", "encoding")

    def __init__(
        self,
        url: str,
        callback: CallbackRef = None,
        *,
        formdata: Any = None,
        files: Any = None,
        method: str | None = None,
        enctype: str | None = None,
        encoding: str = "utf-8",
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        **arguments: Any,
    ) -> None:
        if formdata is None and files is None:
            super().__init__(url, callback, method or "GET", headers, body, **arguments)
            return
        if body is not None:
            raise RequestError(f"{url} has a body and formdata or files, which make one; give one of them")
        entries: list[Entry] = [
            (name, value) for name, value in entries_of(formdata or (), "formdata") if value is not None
        ]
        uploads: list[Entry] = list(uploads_of(files or ()))
        if enctype is None:
            enctype = MULTIPART if uploads else URLENCODED
        elif enctype not in ENCTYPES:
            raise RequestError(f"enctype of {url} must be one of {', '.join(ENCTYPES)}: {enctype!r:.80}")
        self._send(url, callback, entries + uploads, method or "POST", enctype, encoding, headers, arguments)

    def _send(
        self,
        url: str,
        callback: CallbackRef,
        entries: Sequence[Entry],
        method: str,
        enctype: str,
        encoding: str,
        headers: Mapping[str, str] | None,
        arguments: dict[str, Any],
    ) -> None:
        if method.upper() in ("GET", "HEAD"):
            if any(isinstance(value, Upload) and value.content for _, value in entries):
                raise RequestError(f"{method.upper()} of {url} sends no body, so no files; leave the method to us")
            found = canonical(url) if isinstance(url, str) else None
            if found is not None:  # else the error of Request says what is wrong with it
                url = f"{found.partition('?')[0]}?{urlencoded(entries, encoding)}".removesuffix("?")
            super().__init__(url, callback, method, headers, **arguments)
            return
        body, kind = form_body(entries, enctype, encoding)
        super().__init__(url, callback, method, _with(headers, "Content-Type", kind), body, **arguments)

    @classmethod
    def from_response(
        cls,
        response: Response,
        callback: CallbackRef = None,
        *,
        formname: str | None = None,
        formid: str | None = None,
        formnumber: int = 0,
        formcss: str | None = None,
        formxpath: str | None = None,
        formdata: Any = None,
        files: Any = None,
        clickdata: Mapping[str, Any] | None = None,
        dont_click: bool = False,
        url: str | None = None,
        method: str | None = None,
        encoding: str | None = None,
        headers: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> FormRequest:
        """The form of a page as a browser would send it: hidden fields, what is checked and selected, the button.

        Args:
            response: the page.
            formname, formid, formcss, formxpath, formnumber: which form: by its name, its id, a selector or an XPath
                (extra ``xpath``) for it or for something in it, or by its number (from 0); the first of these that is
                given counts.
            formdata: values in place of the page's; None takes a field away. Names the form does not have are added.
            files: for its file inputs, as of FormRequest.
            clickdata: attributes of the button to click, and ``nr``, its number among those that have them; the
                first button that is not disabled when not given.
            dont_click: send it as a script would, without a button.
            url, method, encoding: in place of the form's.

        The page is sent along as Referer, which some sites check besides their hidden token. Raises ParseError when
        there is no such form or button, RequestError for the values.
        """
        from scraper.form_choice import choose  # one page of a crawl asks for it, and most crawls never

        chosen = choose(response, formname, formid, formcss, formnumber, clickdata, dont_click, formxpath)
        enctype = chosen.enctype
        target = response.urljoin(url) if url is not None else chosen.url
        if target is None:
            raise ParseError(
                f"the form on {response.url} goes to {chosen.action!r:.200}, not an http(s) URL; give url=…",
                request=response.request,
            )
        if method is None and chosen.method == "DIALOG":
            raise ParseError(
                f"the form on {response.url} is of a dialog and sends nothing; give method=…", request=response.request
            )
        given = entries_of(formdata or (), "formdata")
        uploads: list[Entry] = list(uploads_of(files or ()))
        names = {name for name, _ in (*given, *uploads)}
        if uploads:
            enctype = MULTIPART
        encoding = encoding or chosen.encoding
        entries: list[Entry] = [entry for entry in chosen.entries(encoding) if entry[0] not in names]
        entries += [(name, value) for name, value in given if value is not None]
        referer = _referer(response.url, target)
        if referer is not None:
            headers = _with(headers, "Referer", referer)
        new = cls.__new__(cls)
        method = method or chosen.method
        new._send(target, callback, entries + uploads, method, enctype, encoding, headers, arguments)
        return new


class JsonRequest(Request):
    """JSON that is sent.

    Args:
        url: as of Request.
        callback: as of Request.
        data: what msgspec writes as JSON: dicts, lists, dataclasses, dates and the like. None: no body.
        method: POST when there is data, else GET.
        headers, body and all others: as of Request.

    Raises:
        RequestError: as Request does; for data that cannot be written as JSON.
    """

    __slots__ = ()
    MADE_OF = ("data",)

    def __init__(
        self,
        url: str,
        callback: CallbackRef = None,
        *,
        data: Any = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        **arguments: Any,
    ) -> None:
        if data is not None:
            if body is not None:
                raise RequestError(f"{url} has a body and data, which makes one; give one of them")
            try:
                body = _encode(data)
            except (TypeError, ValueError, RecursionError) as error:
                raise RequestError(f"data of {url} cannot be written as JSON: {error}") from error
            method = method or "POST"
        if body is not None:
            headers = _with(headers, "Content-Type", "application/json")
        headers = _with(headers, "Accept", "application/json, */*;q=0.5")
        super().__init__(url, callback, method or "GET", headers, body, **arguments)


def _with(headers: Mapping[str, str] | None, name: str, value: str) -> dict[str, str]:
    """With a header that is not given yet."""
    headers = dict(headers or {})
    if not any(isinstance(each, str) and each.lower() == name.lower() for each in headers):
        headers[name] = value
    return headers


def _referer(page: str, target: str) -> str | None:
    """What a browser says of the page it comes from (strict-origin-when-cross-origin): never a user or password."""
    origin = origin_of(page)
    if origin == origin_of(target):
        return origin + "/" + page.split("/", 3)[3]
    if page.startswith("https:") and not target.startswith("https:"):
        return None
    return f"{origin}/"

"""The one table from foreign exceptions to our tree.

Every exception class of aiohttp's client has its own line (a test walks them); a subclass that aiohttp might add
falls back on its nearest base. What is not in the table is a bug, here or there, and is not caught.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

import aiohttp
from aiohttp import client_exceptions, http_exceptions

from scraper import decompress, errors
from scraper.connector import words
from scraper.deadline import Overdue
from scraper.errors import FetchError
from scraper.guard import Refused
from scraper.options import may_repeat
from scraper.proxies import ProxyFailed
from scraper.request import Request
from scraper.settings import Settings
from scraper.url import host_of, name_of
from scraper.wire import Dropped

NO_CONNECTION = "no connection to {url}: {error}; check the address and that the server is up"
NO_NAME = "the name in {url} does not resolve: {error}; check its spelling and your DNS"
NO_PROXY = "no way to {url} through the proxy {error}; check its URL, or take another one"
DENIED = (
    "{url} is at a private address and the spider does not name its host: {error}; "
    'to ask it, set allow_private = ["{host}"]'
)
NO_TLS = "no TLS connection to {url}: {error}; see what it speaks there, and which versions of TLS"
UNTRUSTED = (
    "no TLS connection to {url}: {error}; have its certificate mended, or, if you trust it anyway, "
    'set hosts = {{"{host}": {{"verify_tls": false}}}}'
)
PLAIN = "no TLS connection to {url}: it does not speak TLS there; write {plain}"
SLOW_CONNECT = "no connection to {url} within {connect_timeout:g} s; raise connect_timeout if the host is just slow"
HUNG_UP = "the connection to {url} broke before the response was whole: {error}; try again later"
SILENT = "{url} was silent for {read_timeout:g} s; raise read_timeout if it is just slow"
OVERDUE = "{url} was not whole within {total_timeout:g} s; raise total_timeout if it is just large"
NOT_HTTP = "{url} did not answer in proper HTTP: {error}; only the server can mend that"
NOT_SENT = "{method} {url} cannot be sent: {error}; check its URL, method, headers and cookies"
NOT_AGAIN = "; this {method} may have done its work, so it is not sent again: resend=True allows that, or resend_unsafe"
REDIRECT = "{url} redirects to where nobody can follow: {error}"
CUT = "the body of {url} is cut short: {error}; try again later"
CORRUPT = "the body of {url} cannot be decoded: {error}; only the server can mend that"
TOO_LARGE = "the body of {url} is larger than {max_body_size:,} bytes; raise max_body_size to have it"

TABLE: dict[type[BaseException], tuple[type[FetchError], str]] = {
    # no connection
    aiohttp.ClientConnectorError: (errors.ConnectError, NO_CONNECTION),
    aiohttp.ClientConnectorDNSError: (errors.DnsError, NO_NAME),
    Refused: (errors.AddressDenied, DENIED),
    ProxyFailed: (errors.ProxyError, NO_PROXY),
    aiohttp.ClientProxyConnectionError: (errors.ProxyError, NO_PROXY),
    aiohttp.ClientHttpProxyError: (errors.ProxyError, NO_PROXY),
    client_exceptions.UnixClientConnectorError: (errors.ConnectError, NO_CONNECTION),
    aiohttp.ClientSSLError: (errors.TlsError, NO_TLS),
    aiohttp.ClientConnectorSSLError: (errors.TlsError, NO_TLS),
    aiohttp.ClientConnectorCertificateError: (errors.TlsError, NO_TLS),
    aiohttp.ServerFingerprintMismatch: (errors.TlsError, NO_TLS),
    aiohttp.ConnectionTimeoutError: (errors.ConnectTimeout, SLOW_CONNECT),
    aiohttp.ClientConnectionError: (errors.ConnectError, NO_CONNECTION),
    # a connection that broke
    Dropped: (errors.Disconnected, HUNG_UP),
    aiohttp.ClientConnectionResetError: (errors.Disconnected, HUNG_UP),
    aiohttp.ClientOSError: (errors.Disconnected, HUNG_UP),
    aiohttp.ServerConnectionError: (errors.Disconnected, HUNG_UP),
    aiohttp.ServerDisconnectedError: (errors.Disconnected, HUNG_UP),
    aiohttp.ClientPayloadError: (errors.Disconnected, HUNG_UP),
    aiohttp.UploadAbortedError: (errors.Disconnected, HUNG_UP),
    aiohttp.EofStream: (errors.Disconnected, HUNG_UP),
    OSError: (errors.Disconnected, HUNG_UP),
    # time
    aiohttp.ServerTimeoutError: (errors.ReadTimeout, SILENT),
    aiohttp.SocketTimeoutError: (errors.ReadTimeout, SILENT),
    asyncio.TimeoutError: (errors.ReadTimeout, SILENT),
    Overdue: (errors.TotalTimeout, OVERDUE),
    # not HTTP as the RFCs have it
    aiohttp.ClientError: (errors.FetchError, NOT_HTTP),
    aiohttp.ClientResponseError: (errors.ProtocolError, NOT_HTTP),
    aiohttp.ContentTypeError: (errors.ProtocolError, NOT_HTTP),
    aiohttp.WSServerHandshakeError: (errors.ProtocolError, NOT_HTTP),
    aiohttp.WSMessageTypeError: (errors.ProtocolError, NOT_HTTP),
    aiohttp.WebSocketError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.HttpProcessingError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.BadHttpMessage: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.BadHttpMethod: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.BadStatusLine: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.ContentEncodingError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.ContentLengthError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.DecompressSizeError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.HttpBadRequest: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.InvalidHeader: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.InvalidURLError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.LineTooLong: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.PayloadEncodingError: (errors.ProtocolError, NOT_HTTP),
    http_exceptions.TransferEncodingError: (errors.ProtocolError, NOT_HTTP),
    # what the request itself got wrong
    aiohttp.InvalidURL: (errors.FetchError, NOT_SENT),
    aiohttp.InvalidUrlClientError: (errors.FetchError, NOT_SENT),
    aiohttp.NonHttpUrlClientError: (errors.FetchError, NOT_SENT),
    ValueError: (errors.FetchError, NOT_SENT),
    # redirects, were aiohttp to follow them
    aiohttp.TooManyRedirects: (errors.RedirectError, REDIRECT),
    aiohttp.RedirectClientError: (errors.RedirectError, REDIRECT),
    aiohttp.InvalidUrlRedirectClientError: (errors.RedirectError, REDIRECT),
    aiohttp.NonHttpUrlRedirectClientError: (errors.RedirectError, REDIRECT),
    # bodies
    decompress.CutBody: (errors.BodyCut, CUT),
    decompress.CorruptBody: (errors.BodyCorrupt, CORRUPT),
    decompress.UnknownCoding: (errors.BodyCorrupt, CORRUPT),
    decompress.OverLimit: (errors.BodyTooLarge, TOO_LARGE),
}
FOREIGN = tuple(TABLE)

# What OpenSSL found wrong (X509_V_ERR_…): not yet valid, expired; no issuer, self-signed; other name, other address.
CERTIFICATES: dict[int, type[FetchError]] = {
    **dict.fromkeys((9, 10), errors.CertificateExpired),
    **dict.fromkeys((2, 18, 19, 20, 21, 27), errors.CertificateUntrusted),
    **dict.fromkeys((62, 64), errors.CertificateWrongHost),
}
# Of a name that has no address and will have none: c-ares says ARES_ENODATA or ARES_ENOTFOUND, the system one of these.
_OF_CARES = frozenset({1, 4})
_OF_SYSTEM = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def is_ours(error: BaseException) -> bool:
    """True for a ValueError that is a bug of ours: aiohttp, which refuses bad requests with one, did not raise it."""
    if next(each for each in type(error).__mro__ if each in TABLE) is not ValueError:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(module).partition(".")[0] not in ("aiohttp", "yarl", "multidict")


def fault(error: BaseException, request: Request, settings: Settings, status: int | None = None) -> FetchError:
    """The error of our tree for one of ``FOREIGN``; it names the URL, what happened and what to do."""
    kind, text = next(TABLE[each] for each in type(error).__mro__ if each in TABLE)
    limits = {name: getattr(settings, name) for name in settings.__struct_fields__} | (request.options or {})
    if kind is errors.TlsError:
        kind = CERTIFICATES.get(_flaw(error), kind)
        if getattr(getattr(error, "_os_error", None), "reason", "") == "WRONG_VERSION_NUMBER":
            text = PLAIN
        elif isinstance(error, aiohttp.ClientConnectorCertificateError):
            text = UNTRUSTED
    elif kind is errors.DnsError and _is_unknown(error):
        kind = errors.NoSuchHost
    plain = request.url.replace("https:", "http:", 1)
    host = name_of(host_of(request.url))
    said = text.format(url=request.url, plain=plain, host=host, method=request.method, error=words(error), **limits)
    if issubclass(kind, errors.ReadError | errors.BodyCut) and not may_repeat(
        request.method, request.options, settings.resend_unsafe
    ):
        said += NOT_AGAIN.format(method=request.method)
    found = kind(said, request=request)
    found.status = status
    return found


def _flaw(error: BaseException) -> int:
    """What is wrong with the certificate, as OpenSSL counts; 0 when that is not it."""
    inner = getattr(error, "_certificate_error", None)
    return getattr(inner, "verify_code", 0) if isinstance(inner, ssl.SSLCertVerificationError) else 0


def _is_unknown(error: BaseException) -> bool:
    """Whether the name servers answered, and know of no address."""
    inner = getattr(error, "_os_error", None)
    if isinstance(inner, socket.gaierror):
        return inner.errno in _OF_SYSTEM
    cause = inner.__cause__ if inner is not None else None  # aiodns's, which aiohttp wraps
    return cause is not None and bool(cause.args) and cause.args[0] in _OF_CARES

"""Every error this package raises, as one tree.

ScraperError                     everything below; may carry the Request it is about
├── UsageError                   the caller's mistake; the command line exits with 2
│   ├── SettingsError            unknown name, wrong type, unreadable scraper.toml
│   ├── SpiderError              no such spider, bad argument, bad class
│   ├── RequestError             a Request that cannot be stored or followed
│   ├── MissingExtra             an optional library is not installed; the message says how to
│   └── OutputError              a file that cannot be written as asked
│       └── ExportError          that shows at the end of a crawl; the same command writes it then
├── FetchError                   no usable response for a request
│   ├── ConnectError             no connection: refused, unreachable
│   │   ├── DnsError             the name does not resolve
│   │   │   └── NoSuchHost       and will not: there is no such name, or it has no address
│   │   ├── AddressDenied        a private address, of a host that the spider did not name
│   │   ├── HostDown             given up: it has not answered for breaker_patience
│   │   ├── TlsError             the handshake or the certificate failed
│   │   │   ├── CertificateExpired    its dates are over, or yet to come
│   │   │   ├── CertificateUntrusted  self-signed, or of an unknown authority
│   │   │   └── CertificateWrongHost  it is for another name
│   │   ├── ProxyError           the proxy refused
│   │   └── ConnectTimeout       no connection within connect_timeout
│   ├── ReadError                connected, but no whole response
│   │   ├── Disconnected         the peer closed before the response was whole
│   │   ├── ReadTimeout          silence for read_timeout
│   │   └── TotalTimeout         not whole within total_timeout
│   ├── ProtocolError            what came is not HTTP as the RFCs have it
│   ├── BodyError                the body cannot be used
│   │   ├── BodyTooLarge         more than max_body_size decoded bytes
│   │   ├── BodyCut              ends before its end of stream
│   │   └── BodyCorrupt          fails its check or uses an unknown coding
│   ├── StatusError              an error status that nobody asked to see
│   ├── RedirectError            too many hops, or no usable Location
│   ├── DownloadError            a file that cannot have the name it was given
│   │   └── FileRefused          or is not what was asked for: empty, of another type, no image
│   └── RobotsDenied             robots.txt says no (or could not be had)
├── Postponed                    no failure: the host must not be asked yet, so the page waits in its slot
├── ParseError                   the body is not what the spider took it for
│   ├── NestingError             nested so deeply that parsing would stall
│   └── ContentError             css() of what is not HTML, json() of what is not JSON, and the like
├── DropItem                     no failure: a step does not want this item, and says why
├── CallbackError                a callback raised, or yielded what is neither item nor Request
│   └── TooManyResults           one page gave more than max_results links and items
└── StoreError                   the database failed; the crawl stops and can be resumed
    ├── StoreLocked              another run holds this database
    ├── StoreBusy                locked by another program for longer than we wait
    └── FileError                no file can be written below the folder of files
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scraper.url import shown

if TYPE_CHECKING:
    from scraper.request import Request


class ScraperError(Exception):
    """Root of the tree. ``request`` is the Request it is about, or None. The message has no passwords of URLs."""

    def __init__(self, message: str, *, request: Request | None = None) -> None:
        super().__init__(shown(message))
        self.request = request


class UsageError(ScraperError):
    """The caller asked for something that cannot be; the message says what to do instead."""


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type or unreadable."""


class SpiderError(UsageError):
    """A spider cannot be found, loaded or built."""


class RequestError(UsageError):
    """A Request that cannot be stored: bad URL, foreign callback, meta that is not JSON."""


class MissingExtra(UsageError):
    """A part that needs a library which is not installed; the message names the extra that brings it."""


class OutputError(UsageError):
    """An output file cannot be written as asked."""


class ExportError(OutputError):
    """The output could not be written at the end of a crawl. The run is left to be resumed, and written then."""


class FetchError(ScraperError):
    """No usable response.

    ``reason`` is the short word kept in the ``pages`` table; ``transient`` says whether the
    default retry policy tries again; ``status`` is the HTTP status, if there was one.
    """

    reason: str = "fetch"
    transient: bool = False
    status: int | None = None
    retry_after: float | None = None
    """Seconds that the server asked us to wait (Retry-After), or None."""
    reused: bool | None = None
    """Whether the connection had served before; None when that is not known."""
    unsent: bool = False
    """Whether this came before the request itself was sent: of what had to be asked first."""


class ConnectError(FetchError):
    reason = "connect"
    transient = True


class DnsError(ConnectError):
    reason = "dns"


class NoSuchHost(DnsError):
    """The name servers know that there is nothing; a look-up that failed (time-out, SERVFAIL) is a plain DnsError."""

    reason = "no such host"
    transient = False


class AddressDenied(ConnectError):
    reason = "private address"
    transient = False


class HostDown(ConnectError):
    reason = "host down"
    transient = False


class TlsError(ConnectError):
    reason = "tls"
    transient = False  # a bad certificate does not heal within a retry


class CertificateExpired(TlsError):
    reason = "tls expired"


class CertificateUntrusted(TlsError):
    reason = "tls untrusted"


class CertificateWrongHost(TlsError):
    reason = "tls wrong host"


class ProxyError(ConnectError):
    reason = "proxy"


class ConnectTimeout(ConnectError):
    reason = "connect timeout"


class ReadError(FetchError):
    reason = "read"
    transient = True


class Disconnected(ReadError):
    reason = "disconnected"


class ReadTimeout(ReadError):
    reason = "read timeout"


class TotalTimeout(ReadError):
    reason = "total timeout"


class ProtocolError(FetchError):
    reason = "protocol"


class BodyError(FetchError):
    reason = "body"


class BodyTooLarge(BodyError):
    reason = "too large"


class BodyCut(BodyError):
    reason = "cut"
    transient = True  # most often a connection that broke, not a broken page


class BodyCorrupt(BodyError):
    reason = "corrupt"


class StatusError(FetchError):
    """An error status that ``handle_statuses`` does not name; ``status`` holds it."""

    def __init__(
        self,
        status: int,
        url: str,
        *,
        transient: bool = False,
        retry_after: float | None = None,
        request: Request | None = None,
    ) -> None:
        super().__init__(f"{url} answered {status}", request=request)
        self.status = status
        self.reason = f"status {status}"
        self.transient = transient
        self.retry_after = retry_after


class RedirectError(FetchError):
    reason = "redirect"


class DownloadError(FetchError):
    """A file cannot be where it was asked for: a folder or a symbolic link is there, or its name is no name."""

    reason = "file"


class FileRefused(DownloadError):
    """What came is not the file that a Download asks for; ``reason`` says in what."""

    def __init__(self, message: str, *, reason: str, request: Request | None = None) -> None:
        super().__init__(message, request=request)
        self.reason = reason


class RobotsDenied(FetchError):
    reason = "robots"


class Postponed(ScraperError):
    """Raised by a fetcher that may not ask yet. No attempt is counted: the lease goes back to its host's slot, whose
    limits say when."""


class ParseError(ScraperError):
    """The body is not what the spider took it for."""

    reason: ClassVar[str] = "parse"


class NestingError(ParseError):
    reason: ClassVar[str] = "nesting"


class ContentError(ParseError):
    """The body is of another type than the one it is read as."""

    reason: ClassVar[str] = "content type"


class DropItem(ScraperError):
    """Raised by a step, or by what cleans a field: the item is not stored, and the words are kept as the reason."""


class CallbackError(ScraperError):
    """A callback raised, or yielded what is neither an item nor a Request."""

    reason: ClassVar[str] = "callback"


class TooManyResults(CallbackError):
    """One page gave more links and items than ``max_results``."""

    reason: ClassVar[str] = "too many results"


class StoreError(ScraperError):
    """The database failed. Nothing committed is lost; the same command resumes the run."""


class StoreLocked(StoreError):
    """Another run holds this database; the same command will do later."""


class StoreBusy(StoreError):
    """Another program kept the database locked for longer than we wait."""


class FileError(StoreError):
    """Files cannot be written: the disk is full, their folder may not be changed. The page is not finished, the crawl
    drains, and the same command resumes the run."""

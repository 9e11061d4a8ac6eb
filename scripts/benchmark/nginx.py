"""An nginx of our own: Debian's program, our configuration, everything it writes in one temporary folder."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

CONFIG = """\
{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    types {{ text/html html; text/plain txt; text/xml xml; image/jpeg jpg; text/css css; image/svg+xml svg; }}
    charset utf-8;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 75;
    keepalive_requests 10000000;
    open_file_cache max=4096 inactive=1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format bench '$msec $connection $connection_requests $server_addr $status $request_uri';
{servers}}}
"""
SERVER = """\
    server {{
        {listen}
        root {root};
        access_log {log} bench;
    }}
"""
MARK = "/end-of-run"


@dataclass
class Traffic:
    """What nginx saw during one run. ``/robots.txt`` counts as a request and for connections, never as a page."""

    pages: list[str] = field(default_factory=list)  # "address path" of every page answered with 200
    other: list[str] = field(default_factory=list)  # "status address path" of every page answered otherwise
    robots: int = 0
    seconds: float = 0.0  # between the first and the last page
    connections: dict[str, int] = field(default_factory=dict)  # address -> TCP connections that carried a request


def parse_log(lines: Iterable[str]) -> Traffic:
    """Read access-log lines of the format above. Order does not matter."""
    traffic, times = Traffic(), []
    sockets: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        msec, connection, _, address, status, uri = line.rstrip("\n").split(" ", 5)
        if uri == MARK:
            continue
        sockets[address].add(connection)
        if uri == "/robots.txt":
            traffic.robots += 1
            continue
        times.append(float(msec))
        if status == "200":
            traffic.pages.append(f"{address} {uri}")
        else:
            traffic.other.append(f"{status} {address} {uri}")
    traffic.seconds = max(times) - min(times) if times else 0.0
    traffic.connections = {address: len(serials) for address, serials in sockets.items()}
    return traffic


class Nginx:
    """Serve ``sites`` (name -> folder, addresses) on free ports, pinned to ``core`` unless that is None."""

    def __init__(self, folder: Path, sites: Mapping[str, tuple[Path, Sequence[str]]], core: int | None) -> None:
        self.folder, self.sites, self.core = folder, sites, core
        self.ports = {name: free_port(addresses) for name, (_, addresses) in sites.items()}
        self._read: dict[str, int] = dict.fromkeys(sites, 0)

    def __enter__(self) -> Self:
        servers = "".join(
            SERVER.format(
                listen="\n        ".join(f"listen {address}:{self.ports[name]} backlog=1024;" for address in addresses),
                root=root,
                log=self._log(name),
            )
            for name, (root, addresses) in self.sites.items()
        )
        # nginx gives its worker away to `nobody` when root starts it, who cannot read a private temporary folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(user=user, folder=self.folder, servers=servers), encoding="utf-8")
        pin = ["taskset", "-c", str(self.core)] if self.core is not None else []
        self._process = subprocess.Popen(
            [*pin, program(), "-c", str(config), "-p", str(self.folder), "-e", str(self.folder / "error.log")]
        )
        try:
            self._wait_until_open()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def url(self, name: str, path: str = "/") -> list[str]:
        """One URL of ``path`` for each address of the site."""
        return [f"http://{address}:{self.ports[name]}{path}" for address in self.sites[name][1]]

    def traffic(self, name: str) -> Traffic:
        """What this site was asked since the last call.

        nginx has one worker and writes a request's line before it turns to the next event, so once it has answered our
        mark, every line of the run is in the file.
        """
        with suppress(urllib.error.HTTPError):  # 404: there is no such page, being asked for it is the point
            urllib.request.urlopen(self.url(name, MARK)[0], timeout=10).close()
        with self._log(name).open(encoding="utf-8") as log:
            log.seek(self._read[name])
            lines = log.readlines()
            self._read[name] = log.tell()
        return parse_log(lines)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _wait_until_open(self) -> None:
        deadline = time.monotonic() + 20
        waiting = [(addresses[-1], self.ports[name]) for name, (_, addresses) in self.sites.items()]
        while waiting:
            try:
                socket.create_connection(waiting[-1], timeout=5).close()
                waiting.pop()
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = self.folder / "error.log"
                    said = log.read_text(encoding="utf-8") if log.exists() else "nothing"
                    raise RuntimeError(f"nginx did not open {waiting[-1]} ({error}); it said: {said}") from error
                time.sleep(0.02)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def program() -> str:
    """The nginx program; Debian keeps it where a plain user's PATH does not look. Raises RuntimeError when missing."""
    found = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError("nginx is not installed: run 'apt-get install nginx-light' as root, then try again")
    return found


def free_port(addresses: Sequence[str]) -> int:
    """A port that is free on every one of ``addresses``."""
    for _ in range(50):
        probes: list[socket.socket] = []
        try:
            port = 0
            for address in addresses:
                probes.append(probe := socket.socket())
                probe.bind((address, port))
                port = probe.getsockname()[1]
            return port
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    raise RuntimeError(f"no TCP port is free on all of {addresses[0]} to {addresses[-1]}")

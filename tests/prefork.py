"""Commands as processes of their own without the half second that each import of everything takes: one process has
imported it all, and forks for each command.

A command gets a folder, an environment and files for its output, as if it had been started there; from then on it is a
process like any other. What `scraper` does at its start is not the same then: tests of that start it themselves.
"""

import array
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Lock
from typing import Any


class Forks:
    """One such process. ``run`` gives what ``subprocess.run`` would."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = Lock()
        self._ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )

    def run(self, arguments: list[str], cwd: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            order = json.dumps({"arguments": arguments, "cwd": str(cwd), "environment": environment}).encode()
            reading, writing = os.pipe()
            files = array.array("i", [out.fileno(), err.fileno(), writing])
            with self._lock:  # a test may run several at once, each in a thread
                head = len(order).to_bytes(4, "big")
                self._ours.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
                self._ours.sendall(order)
            os.close(writing)
            with open(reading, encoding="ascii") as answers:
                answer = answers.read()
            assert answer, "the process that forks has ended"
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(["scraper", *arguments], int(answer), *texts)

    def close(self) -> None:
        self._ours.close()
        self._process.terminate()
        self._process.wait()


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for each order and see to it that the exit code is told; in the child, return the order. None: no more."""
    while True:
        head, ancillary, _, _ = orders.recvmsg(4, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        if not head:
            return None
        files = array.array("i")
        for _, _, data in ancillary:
            files.frombytes(data)
        size, order = int.from_bytes(head, "big"), b""
        while len(order) < size:
            order += orders.recv(size - len(order))
        waiter = os.fork()
        if not waiter:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child = os.fork()
            if not child:
                for number, file in enumerate(files[:2], start=1):
                    os.dup2(file, number)
                os.closerange(3, max(files) + 1)
                return dict(json.loads(order))
            _, status = os.waitpid(child, 0)
            os.write(files[2], str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        for file in files:
            os.close(file)


def _main() -> None:
    from scraper.cli import app, main

    app()  # the modules of every command
    import rich.table  # noqa: F401
    import uvloop  # noqa: F401

    import scraper.stores.sqlite  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for the commands leave nothing behind
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if order is not None:
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        sys.argv = ["scraper", *order["arguments"]]
        main()


if __name__ == "__main__":
    _main()

"""nginx's own reload, and how its old workers are relieved: a real nginx, asked over a unix socket."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from secreg_host.host import processes
from secreg_host.services import nginxmaster

CONF = """\
worker_processes {count};
pid {root}/nginx.pid;
error_log {root}/error.log notice;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen unix:{root}/sock;
        location / {{ return 200 {answer}; }}
        {more}
    }}
}}
"""


@dataclass
class Nginx:
    root: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def master(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.root / "error.log").read_text()

    def configure(self, answer: str, count: int = 2, more: str = "") -> None:
        text = CONF.format(root=self.root, count=count, answer=answer, more=more)
        (self.root / "nginx.conf").write_text(text)

    def start(self) -> None:
        argv = [*processes.nginx_argv(Path("/usr/sbin/nginx"), self.root / "nginx.conf"), *processes.IN_FRONT]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        wait_for(lambda: len(nginxmaster.workers(self.master)) == 2)

    def reload(self, answer: str, count: int = 2, more: str = "") -> set[int]:
        """Reload with another configuration; returns the workers of before."""
        old = nginxmaster.workers(self.master)
        self.configure(answer, count, more)
        nginxmaster.reload(self.master, lambda _: True)
        return old

    def wait_for_end(self, workers: set[int]) -> None:
        wait_for(lambda: not nginxmaster.children(self.master) & workers)

    def wait_for_answer(self, answer: str) -> None:
        wait_for(lambda: self.ask() == answer)

    def connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(10)
        link.connect(str(self.root / "sock"))
        return link

    def ask(self) -> str:
        with self.connect() as link:
            link.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return whole(link).rpartition("\r\n")[2]


def whole(link: socket.socket) -> str:
    data = b""
    while piece := link.recv(65536):
        data += piece
    return data.decode()


def wait_for(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def nginx(root: Path) -> Iterator[Nginx]:
    found = Nginx(root)
    found.configure("old")
    found.start()
    yield found
    assert found.process is not None
    found.process.terminate()
    found.process.wait(10)


def told(nginx: Nginx, pids: set[int]) -> set[int]:
    """Those that were told to finish by us, not by their master."""
    lines = [line for line in nginx.log.splitlines() if "signal 3 (SIGQUIT) received from" in line]
    return {pid for pid in pids if any(f" {pid}#" in line for line in lines)}


def test_old_workers_finish_when_the_new_ones_are_there(nginx: Nginx) -> None:
    for turn in range(10):
        old = nginx.reload(f"new-{turn}")
        nginx.wait_for_end(old)
        assert nginx.ask() == f"new-{turn}"
        assert told(nginx, old) == old
        new = nginxmaster.workers(nginx.master)
        assert len(new) == 2
    assert nginxmaster.children(nginx.master) == new, "none was started again in the place of one that was told to end"


def test_fewer_workers_than_before(nginx: Nginx) -> None:
    old = nginx.reload("new", count=1)
    nginx.wait_for_end(old)
    assert (nginx.ask(), told(nginx, old), len(nginxmaster.workers(nginx.master))) == ("new", old, 1)


def test_what_does_not_load_ends_nobody(nginx: Nginx) -> None:
    old = nginx.reload("new", more="no_such_directive;")
    assert "no_such_directive" in nginx.log
    assert (nginx.ask(), nginxmaster.workers(nginx.master), told(nginx, old)) == ("old", old, set())


@pytest.mark.promise("no-connection-is-dropped")
def test_what_has_begun_is_finished(nginx: Nginx) -> None:
    with nginx.connect() as link:
        link.sendall(b"GET / HTTP/1.0\r\n")  # not all of a request yet
        nginx.wait_for_answer("old")
        for answer in ("new", "newer"):
            nginx.reload(answer)
            nginx.wait_for_answer(answer)
        link.sendall(b"\r\n")
        assert whole(link).endswith("old")
    wait_for(lambda: len(nginxmaster.children(nginx.master)) == 2)


def test_a_master_that_has_died(nginx: Nginx) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    nginxmaster.reload(gone.pid, lambda _: True)
    assert nginx.ask() == "old"

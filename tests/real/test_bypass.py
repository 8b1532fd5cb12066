"""No line of nginx.conf leads past the password check: each is refused, or nginx is asked by people without a password.

Each configuration is read and assembled as an apply does it; its nginx runs on ports of its own, with the password
check and the registry of an instance that serves.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.base.process import Account
from secreg_host.base.snapshot import Snapshot
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import Generation
from secreg_host.host import authcache
from secreg_host.host import host as hosts
from secreg_host.host.host import Accounts, Host
from secreg_host.wanted import bypass
from secreg_host.wanted.parts import nginx
from tests.real.bypasses import CASES, Case, server
from tests.real.program import NOBODY, Instance
from tests.real.test_equivalence import ALL, OCI, both, descriptor

MARK = b"content-that-nobody-may-see"
CONF = """\
include secure-registry/main.conf;
worker_processes 1;
%(main)s
events { worker_connections 200; }
http {
    include secure-registry/http.conf;
    ssl_certificate docker-registry.crt;
    ssl_certificate_key docker-registry.key;
    access_log off;
    %(http)s
    server {
        listen <a> ssl;
        server_name localhost;
        %(server)s
        include secure-registry/registry.conf;
    }
    %(other)s
}
"""
HELPER = """server { listen <c>; location / { add_header X-Accel-Redirect $arg_a; return 200; } }"""
STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
BOB = "bob:{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE=\n"
RIGHT = "Authorization: Basic Ym9iOmNoYW9z\r\n"
WRONG = "Authorization: Basic Ym9iOndyb25n\r\n"
SOURCES = (
    f"127.{one}.{two}.{three}" for one, two, three in itertools.product(range(2, 100), range(255), range(1, 255))
)
"""A wrong password from one address is answered later and later: each comes from another one."""


@dataclass
class Bench:
    """Where configurations are tried: an instance that serves, and what is in its registry."""

    instance: Instance
    blob: str
    data: str
    scratch: Path
    host: Host = field(init=False)
    current: Generation = field(init=False)

    def __post_init__(self) -> None:
        owner = NOBODY if os.geteuid() == 0 else os.geteuid()
        account = Account(str(owner), owner, owner)
        self.host = Host(Paths(self.instance.root), Accounts(account, account, account))
        found = generations.load(self.host, generations.current_name(self.host))
        assert found is not None
        self.current = found

    @property
    def registry(self) -> str:
        (found,) = self.host.paths.run.glob("registry-*/registry.sock")
        return str(found)

    def values(self, number: int) -> dict[str, str]:
        """What stands for the names in the text of case `number`."""
        paths = self.host.paths
        addresses = {
            name: f"127.{100 + os.getpid() % 100 + number // 250}.{number % 250}.{last}:4443"
            for last, name in enumerate("abc", 1)
        }
        scratch = self.scratch / str(number)
        scratch.mkdir()
        scratch.chmod(0o777)
        (scratch / "images").symlink_to(paths.storage)
        (scratch / "page").write_text('<!--#include virtual="/v2/_catalog" -->\n')
        return addresses | {
            "registry": self.registry, "run": str(paths.run), "lib": str(paths.lib), "storage": str(paths.storage),
            "above": str(paths.root), "link": str(scratch / "images"), "scratch": str(scratch),
            "page": str(scratch / "page"), "bits": paths.front_secret.read_text().strip(), "blob": self.blob,
            "data": self.data,
        }  # fmt: skip

    def generation(self, conf: str) -> Generation:
        """What `conf` as nginx.conf comes to. Raises BadInput."""
        self.instance.write("nginx.conf", conf)
        part = nginx.read(Snapshot(self.host.paths), [self.host.paths.storage]).part
        assert part is not None
        return assemble.assemble(self.host, self.current.parts.having(part), self.current.slot)


@pytest.fixture(scope="module")
def bench(shared: Instance) -> Iterator[Bench]:
    shared.write(".htpasswd", (shared.etc / ".htpasswd").read_text() + BOB)
    shared.reload()
    with both(shared) as pair:
        blob = pair.blob("secret/app", MARK + os.urandom(8))
        content = {"schemaVersion": 2, "mediaType": OCI, "config": descriptor(blob, len(MARK) + 8, "a/b"), "layers": []}
        pair.manifest("secret/app", "tag", content | {"annotations": {"a": MARK.decode()}}, OCI)
    scratch = Path(tempfile.mkdtemp(prefix="srb-", dir="/tmp"))
    scratch.chmod(0o755)
    before = (shared.etc / "nginx.conf").read_text()
    hexadecimal = blob.partition(":")[2]
    yield Bench(shared, f"/v2/secret/app/blobs/{blob}", f"/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data", scratch)
    shared.write("nginx.conf", before)
    shutil.rmtree(scratch)


@contextlib.contextmanager
def serving(bench: Bench, generation: Generation, registry: Path | None = None) -> Iterator[str]:
    """nginx with the front of `generation` in a directory of its own; why it did not start ("": it did).

    registry: the socket of another one than the instance's.
    """
    directory = Path(tempfile.mkdtemp(prefix="srn-", dir="/tmp"))
    moved = {str(bench.host.paths.front_run): str(directory)}
    if registry:
        moved[bench.registry] = str(registry)
    if kept := authcache.place(bench.host):
        moved[str(kept)] = str(directory / "kept")
    for name, data in (generation.files | assemble.generation_conf(generation)).items():
        if name.startswith("front/"):
            target = directory / name.removeprefix("front/")
            target.parent.mkdir(exist_ok=True)
            for old, new in moved.items():
                data = data if name == "front/nginx.conf" else data.replace(old.encode(), new.encode())
            target.write_bytes(data)
    subprocess.run(["chown", "-R", f"{bench.host.accounts.front.uid}", directory], check=True)
    program = [str(hosts.nginx(generation.settings.nginx_binary)), "-e", "stderr"]
    argv = [*program, "-p", f"{directory}/", "-c", f"{directory}/nginx.conf", "-g", "daemon off;"]
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    with (directory / "said").open("w+b") as said:
        nginx = subprocess.Popen([*user, *argv], stderr=said, start_new_session=True)
        try:
            pid = directory / "nginx.pid"
            while nginx.poll() is None and not (pid.exists() and pid.stat().st_size):
                time.sleep(0.005)
            yield "" if nginx.poll() is None else (directory / "said").read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(nginx.pid, signal.SIGKILL)
            nginx.wait()
            shutil.rmtree(directory)


def context() -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


CONTEXT = context()


Address = tuple[str, int]


def answer(address: Address, tls: bool, name: str, *paths: str, more: str = "", source: str = "127.0.0.1") -> bytes:
    """All that comes back for GET of each of `paths` of server `name`, over one connection."""
    head = f"HTTP/1.1\r\nHost: {name}\r\nAccept: {ALL}\r\n{more}"
    sent = [f"GET {path} {head}\r\n" for path in paths[:-1]] + [f"GET {paths[-1]} {head}Connection: close\r\n\r\n"]
    with socket.create_connection(address, 10, (source, 0)) as plain:
        link = CONTEXT.wrap_socket(plain, server_hostname=name) if tls else plain
        data = b""
        with contextlib.suppress(OSError):
            link.sendall("".join(sent).encode())
            while piece := link.recv(65536):
                data += piece
    if len(paths) > 1 and data.count(b"HTTP/1.1 ") < len(paths):  # closed before the last one
        return b"".join(answer(address, tls, name, path, more=more, source=source) for path in paths)
    return data


def addresses_in(conf: str) -> dict[Address, bool]:
    """Where `conf` listens, and whether by TLS."""
    found: dict[Address, bool] = {}
    for host, port, options in re.findall(r"listen (127[\d.]+):(\d+)([^;]*);", conf):
        found[host, int(port)] = found.get((host, int(port)), False) or "ssl" in options
    return found


def names_in(conf: str) -> list[str]:
    """Every name of a server in `conf` that is a name, and one that none has."""
    given = " ".join(re.findall(r"server_name ([^;]*);", conf)).split()
    return [*(name for name in given if not name.startswith("~")), "stranger.example"]


def told(bench: Bench, conf: str, asks: tuple[str, ...]) -> bytes:
    """All that somebody without a password, or with a wrong one, gets under every name and on every port."""
    usual = ("/v2/_catalog", bench.blob, "/v2/secret/app/manifests/tag")
    found = b""
    for (address, tls), name in itertools.product(addresses_in(conf).items(), names_in(conf)):
        found += answer(address, tls, name, *asks, *usual, "/v2/", "/v2/secret/app/tags/list")
        for path in (*asks, *usual):
            found += answer(address, tls, name, path, more=WRONG, source=next(SOURCES))
    return found


def content(said: bytes) -> bool:
    """Whether there is anything in an answer that is not for everybody."""
    return any(each in said for each in (MARK, b'"repositories"', b'"tags"', b"PRIVATE KEY"))


def filled(case: Case, values: dict[str, str]) -> tuple[str, int, tuple[str, ...]]:
    """nginx.conf for `case`, the line of its text, and what is asked for besides."""
    levels = dict.fromkeys(("main", "http", "server", "other"), "") | {case.level: case.text}
    if "proxy_cache kept" in case.text and "<scratch>/kept" not in case.text:
        levels["http"] = f"proxy_cache_path <scratch>/kept keys_zone=kept:1m; {levels['http']}"
    if "<c>" in case.text and case.level == "server":
        levels["other"] = HELPER
    if "stream {" in case.text:
        levels["main"] = f"load_module {STREAM}; {case.text}"
    text = CONF % levels
    line = text[: text.index(case.text)].count("\n") + 1
    conf, *asks = (re.sub("<([a-z]+)>", lambda match: values[str(match[1])], each) for each in (text, *case.asks))
    return conf, line, tuple(asks)


def read(bench: Bench, case: Case, conf: str, line: int) -> tuple[Generation, str]:
    """The generation of `conf`, whether it is refused or not, and what is wrong with that."""
    try:
        generation = bench.generation(conf)
    except BadInput as error:
        places = {each.where for each in error.problems}
        with pytest.MonkeyPatch.context() as without:
            without.setattr(bypass, "problems", lambda *_: ())
            generation = bench.generation(conf)
        right = case.refused and places == {f"{bench.instance.etc}/nginx.conf:{line}"}
        return generation, "" if right else f"refused: {error.problems}"
    return generation, "not refused" if case.refused else ""


def judged(bench: Bench, case: Case, conf: str, asks: tuple[str, ...], generation: Generation) -> str:
    """What is wrong with `case` when it serves."""
    with serving(bench, generation) as failed:
        if failed:
            return "" if case.refused else f"does not start: {failed}"
        first = next(iter(addresses_in(conf)))
        got = [answer(first, True, name, bench.blob, more=RIGHT) for name in ("other.example", "localhost")]
        if not case.refused and not case.blind and MARK not in got[-1]:
            return f"nothing for somebody with a password: {got[-1][:500]!r}"
        is_open = content(told(bench, conf, asks))
        return "" if is_open is case.leaks else "OPEN" if is_open else "closed even if it weren't refused"


@pytest.mark.promise("no-line-leads-past")
def test_no_line_of_nginx_conf_leads_past_the_password(bench: Bench) -> None:
    """Refused lines are tried, too, as if they weren't: those that only differ in names are harmless even then, and
    those that aren't show that what is asked here would find an open door."""
    assert len(CASES) >= 60
    wrong = {}
    jobs = []
    with ThreadPoolExecutor(4) as pool:
        for number, case in enumerate(CASES):
            conf, line, asks = filled(case, bench.values(number))
            generation, said = read(bench, case, conf, line)
            jobs.append((case, said, pool.submit(judged, bench, case, conf, asks, generation)))
        for case, said, job in jobs:
            if found := [each for each in (said, job.result()) if each]:
                wrong[str(case)] = found
    assert not wrong, "\n".join(f"{case}: {said}" for case, said in wrong.items())


class Echo(BaseHTTPRequestHandler):
    """A registry that answers with the headers that it got."""

    def do_GET(self) -> None:
        body = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.promise("failed-logins-are-not-forged")
@pytest.mark.parametrize(
    ("around", "inside"),
    [
        ("", ""),
        ("", "proxy_set_header X-Mine 1; proxy_set_header X-Forwarded-For $http_x_forwarded_for;"),
        ("proxy_set_header X-Mine 1; proxy_http_version 1.1;", ""),
        ("include mine.conf;", "proxy_read_timeout 9s;"),
        ("include <scratch>/elsewhere.conf;", ""),
    ],
)
def test_the_client_is_who_connects_whatever_it_says(bench: Bench, around: str, inside: str) -> None:
    """Also for the registry, and for the delays of wrong passwords, behind a server that passes requests on."""
    case = Case("other", server(f"{around} location / {{ proxy_pass http://secreg_registry; {inside} }}"))
    values = bench.values(300 + len(around) + len(inside))
    headers = "proxy_set_header X-Mine 1;"
    bench.instance.write("mine.conf", headers)
    Path(values["scratch"], "elsewhere.conf").write_text(headers)
    conf, _, _ = filled(case, values)
    generation = bench.generation(conf)
    told = "".join(
        f"{name}: 203.0.113.9\r\n" for name in ("X-Real-IP", "X-Forwarded-For", f"X-Secreg-{values['bits']}")
    )
    socket_path = Path(values["scratch"], "echo.sock")
    with socketserver.ThreadingUnixStreamServer(str(socket_path), Echo) as echo:
        socket_path.chmod(0o666)
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        with serving(bench, generation, socket_path) as failed:
            assert not failed
            address, tls = next(iter(addresses_in(conf).items()))
            for name in ("other.example", "localhost"):
                got = answer(address, tls, name, "/v2/_catalog", more=f"{RIGHT}{told}", source="127.9.8.7").decode()
                said = re.findall(r"(?m)^(X-Real-IP|X-Forwarded-For): (.*?)\r?$", got)
                assert said == [("X-Real-IP", "127.9.8.7"), ("X-Forwarded-For", "127.9.8.7")], got
                assert "203.0.113.9" not in got.lower() and "authorization" not in got.lower()
        echo.shutdown()
    (bench.instance.etc / "mine.conf").unlink()

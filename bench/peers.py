"""The six that are compared, on loopback, over one storage: how each is configured and run.

All run as nobody, each in a control group of its own. Their registries have the same docker-registry.yml (quiet log, no
access log, in-memory cache); what differs is what stands before them.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from passlib.hash import apr_md5_crypt

from bench import load, usage
from bench.certificate import self_signed
from bench.content import OWNER
from secreg_host.formats import users
from tests.hosts.cgroup import ControlGroup
from tests.real.program import Instance, free_port

USER = "docker"
FRESH = 12
"""Users that have not logged in yet, for the measure of first logins."""

START_SECONDS = 30.0
REGISTRY = "docker-registry"
BCRYPT_COST = 10


@dataclass(frozen=True)
class Yard:
    """What all peers share: a directory, the storage and configuration of the registry, the users' password; how many
    users have not logged in yet."""

    home: Path
    registry: dict[str, Any]
    password: str
    fresh: int = FRESH

    @property
    def users(self) -> list[str]:
        return [USER, *(f"fresh{number}" for number in range(self.fresh))]

    def file(self, name: str, text: str | bytes) -> Path:
        """A file that the peers may read."""
        path = self.home / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        os.chown(path, OWNER, OWNER)
        return path

    def htpasswd(self, name: str, hashed: Callable[[str], str]) -> Path:
        return self.file(name, "".join(f"{user}:{hashed(self.password)}\n" for user in self.users))

    def directory(self, name: str) -> Path:
        path = self.home / name
        path.mkdir()
        os.chown(path, OWNER, OWNER)
        return path


class Peer(ABC):
    """A registry with TLS and passwords; `key` names it in results."""

    key: str
    title: str
    front: str
    """The program that stands before its registry, "" if none does."""

    left_out: frozenset[str] = frozenset()
    """Trials (their names) that it can't take part in."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.port = free_port()
        self.group = ControlGroup.below_ours(f"bench-{self.key}")
        self.door = load.Door(self.port, USER, yard.password)
        self._fresh = iter(yard.users[1:])

    @abstractmethod
    def prepare(self) -> None:
        """Write its configuration, and run it."""

    @abstractmethod
    def start(self) -> None:
        """Run what was prepared."""

    @abstractmethod
    def stop(self) -> None: ...

    def cpu(self) -> float:
        return usage.cpu_seconds(self.group)

    def fresh_user(self) -> str:
        """A user who has not logged in yet."""
        return next(self._fresh)

    def spooled(self) -> int:
        """Bytes that its front has written to disk so far."""
        return usage.written(usage.pids(self.group, self.front)) if self.front else 0

    @contextmanager
    def running(self) -> Iterator[None]:
        self.group.make()
        try:
            self.prepare()
            self._wait()
            yield
        finally:
            self.stop()
            self.group.remove()

    def renew(self) -> None:
        """Run it anew: where the kernel puts a process makes a few percent, for as long as it lives."""
        self.stop()
        self.start()
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                status, _ = load.login(self.door)
            except OSError as error:
                status, why = 0, str(error)
            else:
                why = f"status {status}"
            if status == 200:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.title} does not serve: {why}; see {self.yard.home}/{self.key}.log")
            time.sleep(0.05)


class Ours(Peer):
    """This checkout, as a foreground instance with its defaults."""

    key, title, front = "ours", "secure-registry", "nginx"

    def __init__(self, yard: Yard, program: Path) -> None:
        super().__init__(yard)
        root = yard.directory(self.key)
        self.instance = _Grouped(root, program, self.port, group=self.group)

    @property
    def storage(self) -> Path:
        return self.instance.lib / "storage"

    def prepare(self) -> None:
        self.instance.start(PASSWORD=self.yard.password)
        existing = (self.instance.etc / ".htpasswd").read_text()
        fresh = self.yard.users[1:]
        more = "".join(f"{user}:{users.make_hash(self.yard.password)}\n" for user in fresh)
        self.instance.write(".htpasswd", existing + more)
        self.instance.reload()

    def start(self) -> None:
        self.instance.start()

    def stop(self) -> None:
        self.instance.stop()


class Old(Ours):
    """Version 0.1, with its defaults but the storage, which is that of the others."""

    key, title = "old", "version 0.1"

    def prepare(self) -> None:
        super().prepare()
        theirs = str(self.yard.registry["storage"]["filesystem"]["rootdirectory"])
        self.instance.edit("docker-registry.yml", str(self.storage), theirs)
        self.instance.reload()


@dataclass
class _Grouped(Instance):
    """An instance whose processes are in a control group."""

    group: ControlGroup | None = None

    def _argv(self, *args: str) -> list[str]:
        argv = super()._argv(*args)
        return self.group.enter(argv) if self.group and "--foreground" in args else argv


class Programs(Peer):
    """A peer that is a few programs, started one after the other."""

    def __init__(self, yard: Yard) -> None:
        super().__init__(yard)
        self.lines: list[list[str]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def programs(self) -> list[list[str]]:
        """Write what they need; the command line of each."""

    def prepare(self) -> None:
        self.lines = self.programs()
        self.start()

    def start(self) -> None:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.yard.home)}
        with (self.yard.home / f"{self.key}.log").open("ab") as log:
            for argv in self.lines:
                as_nobody = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", *argv]
                self.processes.append(
                    subprocess.Popen(
                        self.group.enter(as_nobody), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        while self.processes:
            self.processes.pop().wait(20)

    def registry(self, http: dict[str, Any], **sections: Any) -> list[str]:
        """The command line of a registry with these settings besides the common ones."""
        settings = self.yard.registry | {"http": {"secret": secrets.token_hex(), **http}} | sections
        file = self.yard.file(f"{self.key}.yml", yaml.safe_dump(settings))
        return [shutil.which(REGISTRY) or "registry", "serve", str(file)]


class Original(Programs):
    """The container project's layout: Debian's stock nginx.conf, apr1, RSA 4096, proxy with buffers to a TCP port."""

    key, title, front = "original", "original's layout", "nginx"

    def programs(self) -> list[list[str]]:
        upstream = f"127.0.0.1:{free_port()}"
        htpasswd = self.yard.htpasswd("original.htpasswd", apr_md5_crypt.hash)
        crt, key = self_signed(rsa.generate_private_key(65537, 4096))
        spool = self.yard.directory("original.spool")
        temporary = "".join(
            f"    {kind}_temp_path {spool}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf = self.yard.file(
            "original.conf",
            f"""daemon off;
worker_processes auto;
pid {spool}/nginx.pid;
error_log stderr;
events {{
    worker_connections 768;
}}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log {spool}/access.log;
    gzip on;
{temporary}
    server {{
        listen {load.HOST}:{self.port} ssl;
        server_name localhost;
        ssl_certificate {self.yard.file("original.crt", crt)};
        ssl_certificate_key {self.yard.file("original.key", key)};
        client_max_body_size 0;
        chunked_transfer_encoding on;
        location / {{
            auth_basic "Restricted";
            auth_basic_user_file {htpasswd};
            proxy_pass http://{upstream};
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Authorization "";
            proxy_read_timeout 900;
        }}
    }}
}}
""",
        )
        return [self.registry({"addr": upstream}), ["nginx", "-e", "stderr", "-p", str(spool), "-c", str(conf)]]


class Bare(Programs):
    """The registry's own TLS and htpasswd, which takes bcrypt only."""

    key, title, front = "registry", "registry's own TLS + htpasswd", ""

    def programs(self) -> list[list[str]]:
        htpasswd = self.yard.htpasswd("registry.htpasswd", _bcrypt)
        crt, key = self_signed(ec.generate_private_key(ec.SECP256R1()))
        tls = {"certificate": str(self.yard.file("registry.crt", crt)), "key": str(self.yard.file("registry.key", key))}
        auth = {"htpasswd": {"realm": "Registry", "path": str(htpasswd)}}
        return [self.registry({"addr": f"{load.HOST}:{self.port}", "tls": tls}, auth=auth)]


class Caddy(Programs):
    """Caddy with bcrypt and its cache of hashes, as a reverse proxy."""

    key, title, front = "caddy", "Caddy", "caddy"

    def programs(self) -> list[list[str]]:
        upstream = f"127.0.0.1:{free_port()}"
        crt, key = self_signed(ec.generate_private_key(ec.SECP256R1()))
        hashed = ((user, base64.b64encode(_bcrypt(self.yard.password).encode()).decode()) for user in self.yard.users)
        accounts = "".join(f"        {user} {value}\n" for user, value in hashed)
        conf = self.yard.file(
            "Caddyfile",
            f"""{{
    admin off
    auto_https off
    storage file_system {self.yard.directory("caddy.data")}
}}
https://{load.HOST}:{self.port} {{
    bind {load.HOST}
    tls {self.yard.file("caddy.crt", crt)} {self.yard.file("caddy.key", key)}
    basicauth bcrypt Registry {{
{accounts}    }}
    reverse_proxy {upstream} {{
        header_up -Authorization
    }}
}}
""",
        )
        return [self.registry({"addr": upstream}), ["caddy", "run", "--config", str(conf), "--adapter", "caddyfile"]]


def _bcrypt(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()

"""The limit: a bare nginx that sends the same bytes with the same TLS, without passwords, links, a log or a registry.

What a front could do at the most on this machine: later versions are held to their part of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench import load
from bench.content import Content, Storage
from bench.peers import Ours, Programs, Yard


class Limit(Programs):
    """Files below one directory, named as they are asked for."""

    key, title, front = "limit", "the limit", "nginx"
    left_out = frozenset({"upload", "flood"})

    def __init__(self, yard: Yard, ours: Ours) -> None:
        super().__init__(yard)
        self.files = yard.directory("limit.files")
        self.etc = ours.instance.etc

    def programs(self) -> list[list[str]]:
        spool = self.yard.directory("limit.spool")
        crt, key = (
            self.yard.file(f"limit.{end}", (self.etc / f"docker-registry.{end}").read_bytes()) for end in ("crt", "key")
        )
        tls = re.findall(r"^ +ssl_(?!certificate)[^;]+;", (self.etc / "nginx.conf").read_text(), re.MULTILINE)
        conf = self.yard.file(
            "limit.conf",
            "\n".join(
                [
                    "daemon off; worker_processes auto; error_log stderr;",
                    f"pid {spool}/nginx.pid;",
                    "events { worker_connections 8192; }",
                    "http {",
                    "default_type application/octet-stream; access_log off; open_file_cache off;",
                    "sendfile on; tcp_nopush on; keepalive_requests 10000;",
                    *(
                        f"{kind}_temp_path {spool}/{kind};"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
                    ),
                    *tls,
                    "server {",
                    f"listen {load.HOST}:{self.port} ssl; root {self.files};",
                    f"ssl_certificate {crt}; ssl_certificate_key {key};",
                    'location = /v2/ { if ($http_authorization = "") { return 401; } return 200; }',
                    "}}\n",
                ]
            ),
        )
        return [["nginx", "-e", "stderr", "-p", str(spool), "-c", str(conf)]]

    def put(self, storage: Storage, content: Content) -> None:
        """Take up what there is to serve: it reads no links."""
        image = content.image
        for path in (content.small, content.large, image.by_digest, *image.blob_paths):
            self._name(path, storage.data(path.rpartition("/")[2]))
        self._name(image.tagged, storage.data(image.manifest))

    def _name(self, path: str, data: Path) -> None:
        """The bytes of the storage under the address of a request."""
        target = self.files / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(data, target)

"""nginx's JavaScript module, by which the front answers for manifests: where it is, and whether this nginx takes it."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secreg_host.base import files, marks, process, quoting, reading, records, templating, utf8
from secreg_host.base.errors import Problem, SecregError
from secreg_host.formats import nginxconf, nginxsyntax
from secreg_host.generation import plainmanifest
from secreg_host.host import host as hosts
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.wanted.parts.nginx import CONF as NGINX_CONF
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.settings import Settings

NAME = "ngx_http_js_module.so"
SCRIPT = "front/manifest.js.j2"
COMMENT = re.compile(r"#[^\n]*")
LOADS = re.compile(r"\bload_module\s")

CONF = """\
load_module {module};
pid {pid};
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {body};
    proxy_temp_path       {proxy};
    fastcgi_temp_path     {fastcgi};
    uwsgi_temp_path       {uwsgi};
    scgi_temp_path        {scgi};
    js_import manifest.js;
    server {{
        listen {socket};
        location / {{
            js_content manifest.manifest;
        }}
    }}
}}
"""


def loaded_by(nginx: NginxPart) -> bool:
    """Whether the administrator's nginx.conf loads the module already (twice is an error)."""
    outside = (reading.peek(Path(path), reading.OTHER) for path in nginx.outside)
    return any(_loads(utf8.shown(data)) for data in (*nginx.files.values(), *outside))


def _loads(text: str) -> bool:
    """Whether nginx configuration `text` has a directive that loads it."""
    if NAME not in text:
        return False
    return any(NAME in directive and LOADS.search(directive) for directive in COMMENT.sub("", text).split(";"))


def can_load(nginx: NginxPart) -> bool:
    """Whether a `load_module` in secure-registry/main.conf comes early enough: before the first block."""
    with contextlib.suppress(SecregError):
        text = utf8.lossless(nginx.files[NGINX_CONF])
        for directive in nginxsyntax.parse(text, ""):
            if directive.name == "include" and directive.args[:1] == (f"{nginxconf.GENERATED}/main.conf",):
                return True
            if directive.opens:
                break
    return False


@dataclass(frozen=True)
class Module:
    """The module of this host, and why its nginx can't use it ("": it can)."""

    path: Path
    wrong: str

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """That nginx can't use it, and what to do."""
        what = f"nginx can't use it, so it asks the registry for each manifest: {self.wrong}"
        return (Problem(str(self.path), what, "install the version that belongs to this nginx"),) if self.wrong else ()


def module(host: Host, settings: Settings) -> Module | None:
    """The module, if this host has one. Whether nginx takes it and our script was tried, once for the same files."""
    found = next((path for path in host.paths.nginx_modules(NAME) if reading.is_file(path)), None)
    if found is None:
        return None
    try:
        program = hosts.nginx(settings.nginx_binary)
        known = tuple(marks.mark(path) for path in (program, found, host.paths.templates / SCRIPT))
        return Module(found, _wrong(host, program, found, known))
    except SecregError:  # as long as nginx is away, or can't be tried, what serves stays as it is
        return Module(found, _record(host).get("wrong", "it could not be tried"))


@functools.lru_cache(maxsize=1)
def _wrong(host: Host, program: Path, found: Path, now: tuple[str, ...]) -> str:
    known = _record(host)
    if known.get("files") != list(now):
        known = {"files": list(now), "wrong": _tried(host, program, found)}
        with contextlib.suppress(SecregError):
            records.save(host.paths.state / "njs.json", known)
    return str(known["wrong"])


def _record(host: Host) -> dict[str, Any]:
    found = records.peek(host.paths.state / "njs.json", {"files": [str], "wrong": str})
    return found if set(found) == {"files", "wrong"} else {}


def _tried(host: Host, program: Path, found: Path) -> str:
    """The first error of `nginx -t`."""
    directory, account = host.paths.run / "njs", host.accounts.front
    shutil.rmtree(directory, ignore_errors=True)
    files.make_directory(directory, 0o700)
    try:
        named = {name: directory / name for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi")}
        values = {"module": found, "pid": directory / "nginx.pid", "socket": f"unix:{directory}/sock", **named}
        conf = CONF.format(**{name: quoting.nginx(value) for name, value in values.items()})
        files.create(directory / "nginx.conf", conf.encode(), 0o400, account.owner)
        script_of_nothing = script(host.paths.templates, "", quoting.Quoted(""))
        files.create(directory / "manifest.js", script_of_nothing, 0o400, account.owner)
        files.make_directory(directory, 0o700, account.owner)
        argv = [*processes.nginx_argv(program, directory / "nginx.conf"), "-t"]
        tried = process.run(process.as_account(argv, account))
        errors = [line.partition("[emerg] ")[2] for line in tried.stderr.splitlines() if "[emerg] " in line]
        return re.sub(r"^\d+#\d+: ", "", errors[0]) if errors else "" if tried.returncode == 0 else "nginx -t fails"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def script(templates: Path, tree: str, bits: quoting.Quoted) -> bytes:
    """What answers for the manifests in `tree`; bits: those in the front's names."""
    return templating.render(
        templates,
        SCRIPT,
        tree=tree,
        bits=bits,
        images=plainmanifest.IMAGES,
        indexes=plainmanifest.INDEXES,
        image=plainmanifest.IMAGE,
        index=plainmanifest.INDEX,
    )

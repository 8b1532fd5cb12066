"""nginx's JavaScript module, by which the front answers for manifests: where it is, and whether this nginx takes it."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from secreg_host import files, nginxconf, nginxsyntax, process, processes, records, templating
from secreg_host import host as hosts
from secreg_host.errors import Problem, SecregError
from secreg_host.host import Host
from secreg_host.parts import Part
from secreg_host.settings import Settings

NAME = "ngx_http_js_module.so"
SCRIPT = "front/manifest.js.j2"
LOADS = re.compile(rf"^[^#]*\bload_module\s[^;]*{NAME}", re.MULTILINE)

CONF = """\
load_module "{module}";
pid {directory}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path       {directory}/proxy;
    fastcgi_temp_path     {directory}/fastcgi;
    uwsgi_temp_path       {directory}/uwsgi;
    scgi_temp_path        {directory}/scgi;
    js_import manifest.js;
    server {{
        listen unix:{directory}/sock;
        location / {{
            js_content manifest.manifest;
        }}
    }}
}}
"""


def loaded_by(nginx: Part) -> bool:
    """Whether the administrator's nginx.conf loads the module already (twice is an error)."""
    outside = (files.read_or_none(Path(path)) or b"" for path in nginx.facts["outside"])
    texts = (data.decode(errors="replace") for data in (*nginx.files.values(), *outside))
    return any(LOADS.search(text) for text in texts)


def can_load(nginx: Part) -> bool:
    """Whether a `load_module` in secure-registry/main.conf comes early enough: before the first block."""
    with contextlib.suppress(SecregError):
        text = nginx.files["front/nginx.conf"].decode()
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
        what = f"nginx can't use it, so it asks the registry for each manifest: {self.wrong}"
        return (Problem(str(self.path), what, "install the version that belongs to this nginx"),) if self.wrong else ()


def module(host: Host, settings: Settings) -> Module | None:
    """The module, if this host has one. Whether nginx takes it and our script was tried, once for the same files."""
    program = hosts.nginx(settings)
    found = next((path for path in host.paths.nginx_modules(NAME) if path.is_file()), None)
    if found is None:
        return None
    marks = tuple(_mark(path) for path in (program, found, host.paths.templates / SCRIPT))
    return Module(found, _wrong(host, program, found, marks))


def _mark(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


@functools.lru_cache(maxsize=1)
def _wrong(host: Host, program: Path, found: Path, marks: tuple[str, ...]) -> str:
    record = host.paths.state / "njs.json"
    known = records.load(record)
    if known.get("files") != list(marks):
        known = {"files": list(marks), "wrong": _tried(host, program, found)}
        with contextlib.suppress(SecregError):
            records.save(record, known)
    return str(known["wrong"])


def _tried(host: Host, program: Path, found: Path) -> str:
    """The first error of `nginx -t`."""
    directory, account = host.paths.run / "njs", host.accounts.front
    shutil.rmtree(directory, ignore_errors=True)
    files.make_directory(directory, 0o700, account.owner)
    try:
        conf = CONF.format(module=found, directory=directory)
        files.create(directory / "nginx.conf", conf.encode(), 0o400, account.owner)
        files.create(directory / "manifest.js", script(host.paths.templates, "", ""), 0o400, account.owner)
        argv = [*processes.nginx_argv(program, directory / "nginx.conf"), "-t"]
        tried = process.run(process.as_account(argv, account))
        said = [line.partition("[emerg] ")[2] for line in tried.stderr.splitlines() if "[emerg] " in line]
        return re.sub(r"^\d+#\d+: ", "", said[0]) if said else "" if tried.returncode == 0 else "nginx -t fails"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def script(templates: Path, tree: str, bits: str) -> bytes:
    """What answers for the manifests in `tree`; bits: those in the front's names."""
    return templating.render(templates, SCRIPT, tree=tree, bits=bits)

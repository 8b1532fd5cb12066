"""nginx's configuration, listening on unix sockets only: for a rehearsal beside what serves."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from secreg_host.base import quoting, utf8
from secreg_host.base.errors import bad_input
from secreg_host.formats.listening import UNSAID, Listen, listen_of
from secreg_host.formats.nginxconf import FILES, GENERATED
from secreg_host.formats.nginxsyntax import Directive, included, parse
from secreg_host.formats.serverblocks import LIMITS

OUTSIDE = f"{GENERATED}/outside"
"""Copies of what is included by an absolute path are below this directory."""

KEPT = ("ssl", "http2", "default_server")
"""Parameters of `listen` that mean something on a unix socket, asked by the probe."""

Edit = tuple[int, int, str]


def on_sockets(
    staged: Mapping[str, bytes], base: Path, directory: Path, read: Callable[[Path], bytes | None]
) -> tuple[dict[str, bytes], dict[Path, Listen]]:
    """Each file that nginx reads from nginx.conf on, with unix sockets in `directory` in place of all addresses, and
    without limits: there all clients are one, and what is not answered is not proven.

    staged: the files in `base`, which relative includes are relative to; read: reads what is included from elsewhere,
    of which the result has copies. Returns the changed files by their paths below `directory`, and each socket with the
    TCP address that it stands for. Raises BadInput as `parse` does.
    """
    mover = _Mover(staged, base, directory, read)
    mover.copy("nginx.conf", staged["nginx.conf"], "nginx.conf", ())
    return mover.copies, {path: listen for path, listen in mover.sockets.values() if listen}


class _Mover:
    def __init__(
        self, staged: Mapping[str, bytes], base: Path, directory: Path, read: Callable[[Path], bytes | None]
    ) -> None:
        self.staged, self.base, self.directory, self.read = staged, base, directory, read
        self.copies: dict[str, bytes] = {}
        self.sockets: dict[str, tuple[Path, Listen | None]] = {}
        self.outside: dict[Path, str] = {}
        self.listening: set[str] = set()
        """Copies with a `listen` outside of blocks: it is one of the server that includes them."""

    def copy(self, name: str, data: bytes, where: str, around: tuple[str, ...]) -> None:
        """Make the copy `name` of what is in the file `where`, included in the blocks `around`."""
        self.copies[name] = b""  # an include of itself ends here
        text = utf8.lossless(data)
        edits: list[Edit] = []
        silent: list[int] = []  # where the servers begin that have no `listen` yet
        for directive in parse(text, where):
            context = around + directive.context
            if directive.opens and directive.name == "server" and context == ("http",):
                silent.append(directive.end)
            found = self.moved(directive, context) if directive.args else None
            if found is None:
                continue
            edit, listens = found
            edits += edit
            if listens and not directive.context:
                self.listening.add(name)
            elif listens and context == ("http", "server") and silent and silent[-1] > 0:
                silent[-1] = 0
        edits += [(at, at, f" listen {self.socket(f'{UNSAID.host} {UNSAID.port}', UNSAID)};") for at in silent if at]
        self.copies[name] = utf8.back("".join(_edited(text, sorted(edits))))

    def moved(self, directive: Directive, context: tuple[str, ...]) -> tuple[list[Edit], bool] | None:
        """The edits for `directive`, and whether it makes the server around it listen; None: neither."""
        first, last = directive.words[1], directive.words[-1]
        if directive.name == "listen" and context[1:] == ("server",):
            listen = listen_of(directive.args)
            address = f"{listen.host} {listen.port}" if listen else directive.args[0]
            kept = [word for word in directive.args[1:] if word in KEPT]
            return [(first.start, last.end, " ".join([self.socket(address, listen), *kept]))], True
        if directive.name in LIMITS:
            return [(directive.words[0].start, directive.end, "")], False
        if directive.name == "include":
            names, edit = self.include(directive, context)
            return edit, any(name in self.listening for name in names)
        return None

    def socket(self, address: str, listen: Listen | None) -> str:
        """The socket that stands for `address`, as a word."""
        path, _ = self.sockets.setdefault(address, (self.directory / f"{len(self.sockets)}.sock", listen))
        return quoting.nginx(f"unix:{path}")

    def include(self, directive: Directive, context: tuple[str, ...]) -> tuple[list[str], list[Edit]]:
        """The copies that an include leads to, and what is written in its place."""
        word = directive.args[0]
        if PurePosixPath(word).parent == GENERATED or "$" in word:
            return [], []
        paths = included(word, self.base)
        if not word.startswith("/"):
            names = [str(path.relative_to(self.base)) for path in paths]
            for name in names:
                if name in self.staged and name not in self.copies:
                    self.copy(name, self.staged[name], name, context)
            return names, []
        names = [name for name in (self.elsewhere(path, context) for path in paths) if name]
        if len(names) < len(paths) and not glob.has_magic(word):
            return names, []  # it is not there: nginx says so
        lines = " ".join(f"include {name};" for name in names)
        return names, [(directive.words[0].start, directive.end, lines)]

    def elsewhere(self, path: Path, context: tuple[str, ...]) -> str:
        """The copy of the file `path` outside of `base`; "" if it can't be read."""
        if path not in self.outside:
            data = self.read(path)
            if data is None:
                return ""
            if len(self.outside) > FILES:
                raise bad_input(
                    str(path),
                    f"nginx reads over {FILES} files with this",
                    "include single files instead of a pattern (*)",
                )
            name = self.outside[path] = f"{OUTSIDE}/{len(self.outside)}.conf"
            self.copy(name, data, str(path), context)
        return self.outside[path]


def _edited(text: str, edits: list[Edit]) -> Iterator[str]:
    at = 0
    for start, end, new in edits:
        yield text[at:start]
        yield new
        at = end
    yield text[at:]

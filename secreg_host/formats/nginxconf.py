"""Reading nginx.conf: enough to copy it with what it includes, and to know where it listens.

Whether a directive makes sense is nginx's own business (`nginx -t`).
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from secreg_host.base import quoting, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.formats.listening import Listen, listen_of
from secreg_host.formats.nginxbundle import Bundle, Rules, Server
from secreg_host.formats.nginxsyntax import Directive, included, parse

UNIT_DIRECTIVES = {"daemon", "pid", "user", "master_process"}
"""Main-context directives that belong to the unit: dropped from the administrator's file."""

FILE_DIRECTIVE = re.compile(
    r"((proxy|grpc|uwsgi)_)?ssl_(certificate|certificate_key|client_certificate|trusted_certificate|crl|dhparam"
    r"|password_file|session_ticket_key|stapling_file)|auth_basic_user_file"
)
"""Directives whose argument is a file that nginx reads at start: it is copied along."""

GENERATED = PurePosixPath("secure-registry")
"""Includes below this directory are ours, not the administrator's."""

PAIR, USERS = ("docker-registry.crt", "docker-registry.key"), ".htpasswd"
"""Staged by the certificate's part, whatever nginx.conf says; whose users count from a change on: a copy would lag."""

GENERATION = "generation.conf"
"""What is generated beside the copy of nginx.conf."""

OURS = {str(GENERATED), GENERATION, *PAIR}
"""Names in the directory of copies that nothing of the administrator's can have there."""

NEEDED = {"main.conf": "the main level", "http.conf": "http { }", "registry.conf": "each server { } that listens"}

FILES, BYTES, DEPTH = 1000, 16 << 20, 50
"""How many files are read at the most, how much of them, and how far one includes another."""


def bundle(conf: Path, data: bytes, read: Callable[[Path], bytes | None], rules: Rules | None = None) -> Bundle:
    """`conf` (with bytes `data`) and, transitively, what it includes from its directory.

    Paths below the directory of `conf` become relative ones, so that nginx reads the copies that are staged, never
    /etc. Lines keep their numbers. Raises BadInput with file and line, also for what is wrong by `rules` with any file
    that nginx reads, wherever it is.
    """
    return _Bundler(conf.parent, read, rules or Rules()).run(conf, data)


class _Bundler:
    def __init__(self, etc: Path, read: Callable[[Path], bytes | None], rules: Rules) -> None:
        self.etc = etc
        self.read = read
        self.rules = rules
        self.problems: list[Problem] = []
        self.files: dict[str, bytes] = {}
        self.origin: dict[str, Path] = {}
        self.used: dict[str, str] = {}
        self.sources: list[Path] = []
        self.listens: list[Listen] = []
        self.includes: set[str] = set()
        self.own_pair = False
        self.outside: list[Path] = []
        self.patterns: list[str] = []
        self.bytes = self.depth = 0
        self.counted: set[Path] = set()
        self.set_in: dict[Path, set[str]] = {}
        self.servers: list[Server] = []

    def run(self, conf: Path, data: bytes) -> Bundle:
        self.claim("nginx.conf", str(conf), "included")
        self.add("nginx.conf", conf, data, ())
        missing = [name for name in NEEDED if name not in self.includes]
        problems = [
            Problem(
                str(conf),
                f"'include {GENERATED}/{name};' is missing",
                f"put it into {NEEDED[name]}; for a fresh file: remove this one, then secure-registry setup",
            )
            for name in missing
        ]
        if problems := [*self.problems, *problems]:
            raise BadInput(problems)
        listens = tuple(dict.fromkeys(self.listens))
        if not any(listen.tls for listen in listens):
            raise bad_input(str(conf), "no 'listen ... ssl': nothing would speak TLS", "add: listen 443 ssl;")
        return Bundle(
            self.files,
            tuple(self.sources),
            listens,
            self.origin,
            self.own_pair,
            tuple(dict.fromkeys(self.outside)),
            tuple(dict.fromkeys(self.patterns)),
            tuple(self.servers),
        )

    def taken(self, path: Path, where: str) -> bytes | None:
        """The bytes of `path`, which stands in `where`. Raises BadInput when it is one too many."""
        data = None
        if len(self.counted) <= FILES and self.bytes <= BYTES:
            data = self.read(path)
            self.bytes += len(data or b"") if path not in self.counted else 0
            self.counted.add(path)
        if len(self.counted) > FILES or self.bytes > BYTES or self.depth > DEPTH:
            what = f"with this nginx reads over {FILES} files, {BYTES >> 20} MB, or {DEPTH} that include each other"
            raise bad_input(where, what, "include single files instead of a pattern (*)")
        return data

    def add(self, name: str, source: Path, data: bytes, context: tuple[str, ...]) -> None:
        text = utf8.text(data, str(source))
        self.files[name] = b""  # an include of itself ends here
        self.origin[name] = source
        self.sources.append(source)
        pieces, at = [], 0
        directives = parse(text, str(source))
        self.problems += self.rules.problems(directives, str(source))
        additions = self.rules.additions(directives, context, self.sets)
        for directive in directives:
            added = [(directive.end, directive.end, additions[directive.end])] if directive.end in additions else []
            for start, end, new in [*self.edits(directive, source, context + directive.context), *added]:
                pieces += [text[at:start], new]
                at = end
        self.files[name] = "".join([*pieces, text[at:]]).encode()

    def edits(self, directive: Directive, source: Path, context: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
        """Replacements (start, end, text) in the file for this directive."""
        if not context and directive.name in UNIT_DIRECTIVES:
            yield directive.words[0].start, directive.end, ""
            return
        self.note_server(directive, f"{source}:{directive.words[0].line}", context)
        self.note_listen(directive)
        if not context and directive.name == "load_module" and directive.args:
            path = self.rules.module(directive.args[0])
            if path != directive.args[0]:
                yield directive.words[1].start, directive.words[1].end, quoting.nginx(path)
        takes_file = FILE_DIRECTIVE.fullmatch(directive.name)
        if directive.name != "include" and not takes_file:
            return
        for word in directive.words[1:2]:
            name = self.local(word.text)
            if name is None:
                self.note_outside(word.text, f"{source}:{word.line}", follow=not takes_file)
                if not context and (loads := self.loads(word.text)):
                    yield directive.words[0].start, directive.end, loads
                continue
            if takes_file:
                self.copy(name, f"{source}:{word.line}")
            else:
                self.include(name, f"{source}:{word.line}", context)
            if name != word.text:
                yield word.start, word.end, f'"{quoting.nginx_part(name)}"'

    def note_server(self, directive: Directive, where: str, context: tuple[str, ...]) -> None:
        """Remember `directive` as one of the server that was opened last: they come in order, included ones too."""
        if context == ("http",) and directive.name == "server" and directive.opens:
            self.servers.append(Server(where, []))
        elif context == ("http", "server") and self.servers:
            self.servers[-1].directives.append((directive, where))

    def note_listen(self, directive: Directive) -> None:
        if directive.name == "listen" and directive.args and (found := listen_of(directive.args)):
            self.listens.append(found)

    def note_outside(self, word: str, where: str, *, follow: bool) -> None:
        """Remember the files that `word`, an absolute path elsewhere, stands for; `follow`: what they include, too.
        where: the line of ours that leads there."""
        if not word.startswith("/") or "$" in word:
            return
        self.patterns += [word] if glob.has_magic(word) else []
        for path in self.expanded(word, where):
            if path in self.outside:
                continue
            self.outside.append(path)
            directives = self.outside_directives(path, where) if follow else ()
            self.depth += 1
            for one in directives:
                self.note_listen(one)
                if one.args and (one.name == "include" or FILE_DIRECTIVE.fullmatch(one.name)):
                    self.note_outside(one.args[0], where, follow=one.name == "include")
            self.depth -= 1

    def expanded(self, word: str, where: str) -> tuple[Path, ...]:
        """The files for which `word`, a path or a pattern in `where`, stands."""
        try:
            return included(word, self.etc)
        except BadInput as error:
            problem = error.problems[0]
            raise bad_input(where, f"{problem.where}: {problem.what}", problem.hint) from None

    def loads(self, word: str) -> str:
        """What files elsewhere that do nothing but load modules say (Debian's modules-enabled); "": they do more."""
        found: list[Directive] = []
        with contextlib.suppress(SecregError):  # told when it is included
            for path in included(word, self.etc) if word.startswith("/") and "$" not in word else ():
                found += parse(utf8.lossless(self.taken(path, word) or b""), str(path))
        if not all(
            one.name == "load_module" and len(one.args) == 1 and quoting.PLAIN.fullmatch(one.args[0]) for one in found
        ):
            return ""
        return " ".join(f"load_module {quoting.nginx(self.rules.module(one.args[0]))};" for one in found)

    def outside_directives(self, path: Path, where: str) -> tuple[Directive, ...]:
        """Those of a file elsewhere, which nginx reads itself, by the line `where`; none if there is no such file.

        Raises BadInput if it can't be parsed: what nginx may make of it is not known then.
        """
        directives = parse(utf8.lossless(self.taken(path, where) or b""), str(path))
        self.problems += self.rules.problems(directives, str(path))
        return directives

    def sets(self, word: str) -> set[str]:
        """The names of directives outside of blocks in the files that `include` `word` stands for; without
        proxy_set_header if they are copied: additions were made to the copies."""
        names: set[str] = set()
        with contextlib.suppress(SecregError):  # told when it is included
            names = names.union(*(self.sets_of(path) for path in included(word, self.etc)))
        return names if self.local(word) is None else names - {"proxy_set_header"}

    def sets_of(self, path: Path) -> set[str]:
        """The names of directives outside of blocks in the file `path`."""
        if path not in self.set_in:
            text = utf8.lossless(self.taken(path, str(path)) or b"")
            self.set_in[path] = {one.name for one in parse(text, str(path)) if not one.context}
        return self.set_in[path]

    def local(self, word: str) -> str | None:
        """`word` relative to our directory, a file always by the same name; None if it names something elsewhere, or
        nothing that is on a disk."""
        if word.startswith(("data:", "engine:")) or "$" in word:
            return None
        path = PurePosixPath(word)
        if not path.is_absolute():
            return str(path)
        return str(path.relative_to(self.etc)) if path.is_relative_to(self.etc) else None

    def claim(self, name: str, where: str, use: str) -> None:
        """Let `name` be the path of a copy, for one `use` only: what is included is no plain copy. Raises BadInput when
        it leads out of the directory of copies, or is that of a file of ours."""
        parts = PurePosixPath(name).parts
        if ".." in parts:
            raise bad_input(where, f"{name} leaves {self.etc}", "name it by its absolute path, with no .. in it")
        if OURS.intersection(parts[:1]):
            what = f"{name} can't be {use}: where nginx reads it, a file of secure-registry's own has this name"
            raise bad_input(where, what, "give it another name")
        if self.used.setdefault(name, use) != use:
            raise bad_input(where, f"{name} is {self.used[name]} elsewhere, and can't be {use}", "make two files of it")

    def include(self, word: str, where: str, context: tuple[str, ...]) -> None:
        if PurePosixPath(word).parent == GENERATED:
            self.includes.add(PurePosixPath(word).name)
            return
        wild = glob.has_magic(word)
        found = [str(path.relative_to(self.etc)) for path in self.expanded(word, where)] if wild else [word]
        self.patterns += [f"{glob.escape(str(self.etc))}/{word}"] if wild else []
        for name in found:
            self.claim(name, where, "included")
            if not name.isprintable():
                raise bad_input(where, f"{name!r} is no name for a file that is included", "rename it in plain letters")
            if name not in self.files:
                data = self.taken(self.etc / name, where)
                if data is None:
                    what = f"included file {self.etc / name} does not exist"
                    raise bad_input(where, what, "create it, or correct the path")
                self.depth += 1
                self.add(name, self.etc / name, data, context)
                self.depth -= 1

    def copy(self, name: str, where: str) -> None:
        if os.path.normpath(name) == USERS:
            what = f"{USERS} of the registry would be copied, and who is removed from it stay in that copy"
            raise bad_input(where, what, "name a file of another name, whose users are for this place only")
        if name in PAIR:
            self.own_pair = True
        if name in PAIR:
            return
        self.claim(name, where, "read as data")
        if name in self.files:
            return
        data = self.taken(self.etc / name, where)
        if data is None:
            raise bad_input(where, f"{self.etc / name} does not exist", "create it, or correct the path")
        self.files[name] = data
        self.origin[name] = self.etc / name
        self.sources.append(self.etc / name)

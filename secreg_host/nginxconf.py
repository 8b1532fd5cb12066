"""Reading nginx.conf: just enough syntax to copy it with what it includes, and to know where it listens.

Syntax: words, quotes, escapes, comments, `;` and blocks (nginx's ngx_conf_read_token). Whether a directive makes
sense is nginx's own business (`nginx -t`).
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from secreg_host import names, patterns, quoting
from secreg_host.errors import BadInput, Problem, SecregError, bad_input

UNIT_DIRECTIVES = {"daemon", "pid", "user", "master_process"}
"""Main-context directives that belong to the unit: dropped from the administrator's file."""

FILE_DIRECTIVE = re.compile(
    r"((proxy|grpc|uwsgi)_)?ssl_(certificate|certificate_key|client_certificate|trusted_certificate|crl|dhparam"
    r"|password_file|session_ticket_key|stapling_file)|auth_basic_user_file"
)
"""Directives whose argument is a file that nginx reads at start: it is copied along."""

GENERATED = PurePosixPath("secure-registry")
"""Includes below this directory are ours, not the administrator's."""

PAIR = ("docker-registry.crt", "docker-registry.key")
"""Staged by the certificate's part, whatever nginx.conf says."""

NEEDED = {"main.conf": "the main level", "http.conf": "http { }", "registry.conf": "each server { } that listens"}

FILES, BYTES, DEPTH = 1000, 16 << 20, 50
"""How many files are read at the most, how much of them, and how far one includes another."""

DIRECTIVES, BLOCKS = 300_000, 100
"""Directives of one file, and how deep its blocks are nested, at the most."""

TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<sign>[;{}])
      |"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'
      |(?P<word>(?:\\.|\$\{\w*\}|[^\s;{}\\"'])(?:\\.|\$\{\w*\}|[^\s;{}\\])*)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the file: its text without quotes, its place in the text, its line (from 1)."""

    text: str
    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive: its words (name first), the names of the blocks around it, and whether it opens one."""

    words: tuple[Word, ...]
    context: tuple[str, ...]
    opens: bool
    end: int

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def args(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])


def parse(text: str, where: str) -> tuple[Directive, ...]:
    """The directives of `text` in order. Raises BadInput at the first place that is not nginx syntax."""
    found: list[Directive] = []
    words: list[Word] = []
    blocks: list[Word] = []
    at, line = 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise bad_input(f"{where}:{line}", "a quote or an escape is not closed", "close it")
        kind, start, at = match.lastgroup, at, match.end()
        if kind == "sign":
            _sign(match["sign"], found, words, blocks, at, where, line)
        elif kind in ("double", "single", "word"):
            words.append(Word(re.sub(r"\\(.)", r"\1", match[kind], flags=re.DOTALL), start, at, line))
        line += text.count("\n", start, at)
    if words:
        raise bad_input(f"{where}:{words[0].line}", "no ';' at the end of the directive", "end it with ;")
    if blocks:
        raise bad_input(f"{where}:{blocks[-1].line}", "this { is never closed", "add a }")
    return tuple(found)


def _sign(
    sign: str, found: list[Directive], words: list[Word], blocks: list[Word], end: int, where: str, line: int
) -> None:
    if sign == "}":
        if words:
            raise bad_input(f"{where}:{words[0].line}", "no ';' at the end of the directive", "end it with ;")
        if not blocks:
            raise bad_input(f"{where}:{line}", "a } too many", "remove it")
        blocks.pop()
        return
    if not words:
        raise bad_input(f"{where}:{line}", f"unexpected {sign!r}", "remove it, or put a directive before it")
    if len(found) >= DIRECTIVES or len(blocks) > BLOCKS:
        what = f"more than {DIRECTIVES} directives, or blocks nested deeper than {BLOCKS} levels"
        raise bad_input(f"{where}:{line}", what, "write less")
    found.append(Directive(tuple(words), tuple(block.text for block in blocks), sign == "{", end))
    if sign == "{":
        blocks.append(words[0])
    words.clear()


@dataclass(frozen=True)
class Listen:
    """An address on which nginx listens: host ("" for all IPv4, "::" for all IPv6), port, TLS, PROXY protocol."""

    host: str
    port: int
    tls: bool = True
    proxy_protocol: bool = False

    @property
    def reach(self) -> str:
        """The address under which this host itself reaches it."""
        return {"": "127.0.0.1", "::": "::1"}.get(self.host, self.host)


def listen_of(args: Sequence[str]) -> Listen | None:
    """The address of a `listen` directive; None for a unix socket or what nginx must judge."""
    word, options = args[0], set(args[1:])
    tls, proxied = "ssl" in options, "proxy_protocol" in options
    if word.startswith("unix:"):
        return None
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>[0-9]+))?", word)
    plain = re.fullmatch(r"(?:(?P<host>[^:]+):)?(?P<port>[0-9]+)|(?P<only>[^:]+)", word)
    matched = bracketed or plain
    if not matched or (port := _port(matched["port"] or "80")) is None:
        return None
    if bracketed:
        address = names.address(bracketed["host"])
        if address is None or address.version != 6:
            return None
        return Listen(str(address), port, tls, proxied)
    host = matched["host"] or matched["only"] or ""
    return Listen("" if host in ("*", "0.0.0.0") else host, port, tls, proxied)


def _port(digits: str) -> int | None:
    return int(digits) if len(digits) <= 5 and 0 < int(digits) < 1 << 16 else None


@dataclass(frozen=True)
class Server:
    """A server { } of http { }: where it begins, and its directives, each with its place."""

    where: str
    directives: list[tuple[Directive, str]]


@dataclass(frozen=True)
class Bundle:
    """nginx.conf with everything of the administrator's that it reads: ready to be staged.

    files: path below the front's directory -> bytes; origin: the same path -> where it comes from; sources: every
    file of /etc that was read; listens: TCP addresses; own_pair: whether docker-registry.crt is what it serves;
    outside: files elsewhere that nginx itself reads; patterns: what was included by a pattern, as absolute paths;
    servers: those in files of ours.
    """

    files: dict[str, bytes]
    sources: tuple[Path, ...]
    listens: tuple[Listen, ...]
    origin: dict[str, Path]
    own_pair: bool
    outside: tuple[Path, ...]
    patterns: tuple[str, ...]
    servers: tuple[Server, ...]


def bundle(conf: Path, data: bytes, read: Callable[[Path], bytes | None]) -> Bundle:
    """`conf` (with bytes `data`) and, transitively, what it includes from its directory.

    Paths below the directory of `conf` become relative ones, so that nginx reads the copies that are staged, never
    /etc. Lines keep their numbers. Raises BadInput with file and line.
    """
    return _Bundler(conf.parent, read).run(conf, data)


class _Bundler:
    def __init__(self, etc: Path, read: Callable[[Path], bytes | None]) -> None:
        self.etc = etc
        self.read = read
        self.files: dict[str, bytes] = {}
        self.origin: dict[str, Path] = {}
        self.sources: list[Path] = []
        self.listens: list[Listen] = []
        self.includes: set[str] = set()
        self.own_pair = False
        self.outside: list[Path] = []
        self.patterns: list[str] = []
        self.bytes = self.count = self.depth = 0
        self.servers: list[Server] = []

    def run(self, conf: Path, data: bytes) -> Bundle:
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
        if problems:
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
        data = self.read(path)
        self.count += 1
        self.bytes += len(data or b"")
        if self.count > FILES or self.bytes > BYTES or self.depth > DEPTH:
            what = f"with this nginx reads over {FILES} files, {BYTES >> 20} MB, or {DEPTH} that include each other"
            raise bad_input(where, what, "include less")
        return data

    def add(self, name: str, source: Path, data: bytes, context: tuple[str, ...]) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise bad_input(f"{source}:{line}", "not UTF-8 text", "save the file as UTF-8") from None
        self.files[name] = b""  # an include of itself ends here
        self.origin[name] = source
        self.sources.append(source)
        pieces, at = [], 0
        for directive in parse(text, str(source)):
            for start, end, new in self.edits(directive, source, context + directive.context):
                pieces += [text[at:start], new]
                at = end
        self.files[name] = "".join([*pieces, text[at:]]).encode()

    def edits(self, directive: Directive, source: Path, context: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
        """Replacements (start, end, text) in the file for this directive."""
        if not context and directive.name in UNIT_DIRECTIVES:
            yield directive.words[0].start, directive.end, ""
            return
        self.note_server(directive, f"{source}:{directive.words[0].line}", context)
        if directive.name == "listen" and directive.args:
            self.listens += [found for found in [listen_of(directive.args)] if found]
        takes_file = FILE_DIRECTIVE.fullmatch(directive.name)
        if directive.name != "include" and not takes_file:
            return
        for word in directive.words[1:2]:
            name = self.local(word.text)
            if name is None:
                self.note_outside(word.text, f"{source}:{word.line}", follow=not takes_file)
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

    def note_outside(self, word: str, where: str, follow: bool) -> None:
        """Remember the files that `word`, an absolute path elsewhere, stands for; `follow`: what they include, too.
        where: the line of ours that leads there."""
        if not word.startswith("/") or "$" in word:
            return
        wild = glob.has_magic(word)
        self.patterns += [word] if wild else []
        for path in self.expanded(word, where) if wild else [Path(word)]:
            if path in self.outside:
                continue
            self.outside.append(path)
            text = self.taken(path, where) if follow else b""
            try:
                found = [one for one in parse((text or b"").decode(), str(path)) if one.args]
            except (SecregError, UnicodeDecodeError):
                continue  # nginx, which reads it, says what is wrong
            self.depth += 1
            for one in found:
                if one.name == "include" or FILE_DIRECTIVE.fullmatch(one.name):
                    self.note_outside(one.args[0], where, follow=one.name == "include")
            self.depth -= 1

    @staticmethod
    def expanded(pattern: str, where: str) -> tuple[Path, ...]:
        """What is there for the absolute path `pattern`, which stands in `where`."""
        try:
            return patterns.expand(pattern)
        except BadInput as error:
            problem = error.problems[0]
            raise bad_input(where, f"{problem.where}: {problem.what}", problem.hint) from None

    def local(self, word: str) -> str | None:
        """`word` relative to our directory; None if it names something elsewhere, or nothing that is on a disk."""
        if word.startswith(("data:", "engine:")) or "$" in word:
            return None
        if not word.startswith("/"):
            return word
        prefix = f"{self.etc}/"
        return word.removeprefix(prefix) if word.startswith(prefix) else None

    def include(self, word: str, where: str, context: tuple[str, ...]) -> None:
        if PurePosixPath(word).parent == GENERATED:
            self.includes.add(PurePosixPath(word).name)
            return
        wild = glob.has_magic(word)
        pattern = f"{glob.escape(str(self.etc))}/{word}"
        found = [str(path.relative_to(self.etc)) for path in self.expanded(pattern, where)] if wild else [word]
        self.patterns += [pattern] if wild else []
        for name in found:
            if ".." in PurePosixPath(name).parts:
                raise bad_input(where, f"{word} leaves {self.etc}", "include it by its absolute path")
            if not name.isprintable():
                raise bad_input(where, f"{name!r} is no name for a file that is included", "rename it")
            if name not in self.files:
                data = self.taken(self.etc / name, where)
                if data is None:
                    raise bad_input(where, f"included file {self.etc / name} does not exist", "create it")
                self.depth += 1
                self.add(name, self.etc / name, data, context)
                self.depth -= 1

    def copy(self, name: str, where: str) -> None:
        if name in PAIR:
            self.own_pair = True
        if name in self.files or name in PAIR:
            return
        data = self.taken(self.etc / name, where)
        if data is None:
            raise bad_input(where, f"{self.etc / name} does not exist", "create it, or correct the path")
        self.files[name] = data
        self.origin[name] = self.etc / name
        self.sources.append(self.etc / name)


def on_sockets(staged: Mapping[str, bytes], directory: Path) -> tuple[dict[str, bytes], dict[Path, Listen]]:
    """The same configuration listening on unix sockets in `directory` only, for a rehearsal beside what serves.

    Returns the changed files, and each socket with the address that it stands for. Raises BadInput as `parse` does.
    """
    changed: dict[str, bytes] = {}
    sockets: dict[str, tuple[Path, Listen | None]] = {}
    for name, data in staged.items():
        text, pieces, at = data.decode(), [], 0
        for directive in parse(text, name):
            if directive.name != "listen" or not directive.args:
                continue
            path, _ = sockets.setdefault(
                directive.args[0], (directory / f"{len(sockets)}.sock", listen_of(directive.args))
            )
            kept = [word for word in directive.args[1:] if word in ("ssl", "http2", "default_server")]
            pieces += [text[at : directive.words[1].start], " ".join([quoting.nginx(f"unix:{path}"), *kept])]
            at = directive.words[-1].end
        changed[name] = "".join([*pieces, text[at:]]).encode()
    return changed, {path: listen for path, listen in sockets.values() if listen}

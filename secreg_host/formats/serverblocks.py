"""The server blocks of nginx.conf with all that it includes: where each listens, and by which name it is reached."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from secreg_host.base import utf8
from secreg_host.base.errors import SecregError, bad_input
from secreg_host.formats.listening import UNSAID, Listen, listen_of
from secreg_host.formats.nginxconf import GENERATED
from secreg_host.formats.nginxsyntax import DIRECTIVES, Directive, included, parse

UNKNOWN_NAME = "secure-registry-probe.invalid"
"""A name that no server block has: the default one of an address answers (RFC 6761, section 6.4)."""

REGISTRY = f"{GENERATED}/registry.conf"

LIMITS = ("limit_req", "limit_conn")
"""By what nginx delays or refuses whoever asks too much, whatever is asked."""

NAMELESS = ""
"""A request of HTTP/1.0, without a name, for which blocks without one are."""

Parse = Callable[[Path], tuple[Directive, ...]]


@dataclass(frozen=True)
class Block:
    """A server block: its TCP addresses, its names as they are written, whether it includes registry.conf; whether
    anything was said of where it listens; the block that it is in: `http`, `stream` or `mail`; and whether it, or what
    is said for all of them, may keep this host out, or limits how much it may ask, as any client."""

    listens: tuple[Listen, ...] = ()
    names: tuple[str, ...] = ()
    registry: bool = False
    said: bool = False
    protocol: str = "http"
    closed: bool = False
    limited: bool = False


@dataclass(frozen=True)
class Door:
    """An address, and a name by which a server block is reached there."""

    listen: Listen
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """A directive that nginx reads: the names of all blocks around it, and where it stands (`file:line`)."""

    directive: Directive
    context: tuple[str, ...]
    where: str

    @property
    def opens_server(self) -> bool:
        """Whether a server block begins here."""
        return self.directive.opens and self.directive.name == "server" and len(self.context) == 1


def walked(etc: Path, read: Callable[[Path], bytes | None]) -> tuple[Line, ...]:
    """Every directive that nginx reads from `etc`/nginx.conf, in its order. What can't be read or parsed is empty.

    Raises BadInput when there is too much of it: a file counts as often as it is included.
    """

    @functools.cache
    def parsed(path: Path) -> tuple[Directive, ...]:
        with contextlib.suppress(SecregError):
            return parse(utf8.lossless(read(path) or b""), str(path))
        return ()

    found: list[Line] = []
    for line in _walk(etc, etc / "nginx.conf", parsed, (), ()):
        if len(found) >= DIRECTIVES:
            what = f"with all that it includes, as often as it does, it has more than {DIRECTIVES} directives"
            raise bad_input(str(etc / "nginx.conf"), what, "include single files instead of a pattern (*)")
        found.append(line)
    return tuple(found)


def of(lines: Sequence[Line]) -> tuple[Block, ...]:
    """The server blocks of `lines`, in order."""
    found: list[Block] = []
    closed = limited = False
    for line in lines:
        directive, context = line.directive, line.context
        if line.opens_server and context[0] in ("http", "stream", "mail"):
            found.append(Block(protocol=context[0]))
        elif context == ("http",):
            closed, limited = closed or _closes(directive, context), limited or directive.name in LIMITS
        elif context[:2] == ("http", "server") and found and _closes(directive, context):
            found[-1] = replace(found[-1], closed=True)
        elif context[:2] == ("http", "server") and found and directive.name in LIMITS:
            found[-1] = replace(found[-1], limited=True)
        elif context[1:] == ("server",) and found and directive.args:
            found[-1] = _with(found[-1], directive)
    silent = [block.protocol == "http" and not block.said for block in found]
    found = [replace(block, closed=block.closed or closed, limited=block.limited or limited) for block in found]
    pairs = zip(found, silent, strict=True)
    return tuple(replace(block, listens=(UNSAID,)) if default else block for block, default in pairs)


def _closes(directive: Directive, context: tuple[str, ...]) -> bool:
    """Whether `directive` may keep out whoever comes from this host, without a certificate of a client's."""
    if directive.name == "return":
        return context[-1] == "if"
    return directive.name == "deny" or (directive.name == "ssl_verify_client" and directive.args != ("off",))


def _with(block: Block, directive: Directive) -> Block:
    if directive.name == "listen":
        listen = listen_of(directive.args)
        if listen and block.protocol != "http":
            listen = replace(listen, tls=False)  # whatever it is, it is no HTTPS
        return replace(block, listens=(*block.listens, *([listen] if listen else [])), said=True)
    if directive.name == "server_name":
        return replace(block, names=(*block.names, *directive.args))
    if directive.name == "include" and directive.args[0] == REGISTRY:
        return replace(block, registry=True)
    return block


def _walk(etc: Path, path: Path, parsed: Parse, context: tuple[str, ...], seen: tuple[Path, ...]) -> Iterator[Line]:
    """Every directive that nginx reads from `path`."""
    if path in seen:
        return
    for directive in parsed(path):
        around = context + directive.context
        yield Line(_ours(directive, etc), around, f"{path}:{directive.words[0].line}")
        if directive.name == "include" and directive.args:
            for each in included(directive.args[0], etc):
                yield from _walk(etc, each, parsed, around, (*seen, path))


def _ours(directive: Directive, etc: Path) -> Directive:
    """`directive`, with the path of a generated file as it is usually written."""
    if directive.name != "include" or not directive.args:
        return directive
    word = directive.words[1]
    return replace(directive, words=(directive.words[0], replace(word, text=word.text.removeprefix(f"{etc}/"))))


def doors(found: Sequence[Block]) -> tuple[Door, ...]:
    """For each server block at each of its addresses the first name that no block before it has there; and for each
    address what reaches those without such a name."""
    found = [block for block in found if block.protocol == "http"]
    secure = {(listen.host, listen.port): listen for block in found for listen in block.listens if listen.tls}
    taken: dict[tuple[Listen, str], Block] = {}
    opened: list[Door] = []
    for block in found:
        for plain in block.listens:
            listen = secure.get((plain.host, plain.port), plain)  # `ssl` counts for all blocks of an address
            opened += [Door(listen, UNKNOWN_NAME), Door(listen, NAMELESS)]
            free = [name for name in block.names if taken.setdefault((listen, name.lower()), block) is block]
            name = next((asked for name in free if (asked := example(name))), "")
            opened += [Door(listen, name)] if name else []
    return tuple(dict.fromkeys(opened))


def listens(found: Sequence[Block]) -> tuple[Listen, ...]:
    """The TCP addresses of all blocks; those with TLS, which counts for all blocks of an address, once."""
    every = dict.fromkeys(listen for block in found for listen in block.listens)
    secure = {(listen.host, listen.port) for listen in every if listen.tls}
    return tuple(listen for listen in every if listen.tls or (listen.host, listen.port) not in secure)


def answering(found: Sequence[Block]) -> tuple[Listen, ...]:
    """The addresses with TLS of the blocks that include registry.conf."""
    secure = {(listen.host, listen.port): listen for block in found for listen in block.listens if listen.tls}
    ours = [secure.get((listen.host, listen.port)) for block in found if block.registry for listen in block.listens]
    return tuple(dict.fromkeys(listen for listen in ours if listen))


def called(found: Sequence[Block]) -> tuple[Door, ...]:
    """The names of the blocks that include registry.conf, at addresses which they share with others."""
    shared = {listen for block in found if not block.registry for listen in block.listens}
    opened = []
    for block in found:
        for listen in block.listens if block.registry else ():
            plain = {(each.host, each.port) for each in shared}
            if listen.tls and (listen.host, listen.port) in plain:
                opened += [Door(listen, asked) for name in block.names if (asked := example(name))]
    return tuple(dict.fromkeys(opened))


def example(name: str) -> str:
    """A host name that `server_name` `name` stands for (nginx, server names); "": none that we find."""
    if name.startswith("~"):
        return _example_of_pattern(name[1:])
    if name.startswith("."):
        name = name[1:]
    name = re.sub(r"^\*\.", "any.", re.sub(r"\.\*$", ".example", name)).lower()
    return name if re.fullmatch(r"[\w-]+(\.[\w-]+)*|[0-9a-f.:]+", name, re.ASCII) else ""


def _example_of_pattern(pattern: str) -> str:
    """A name that the regular expression `pattern` finds, if it is a simple one: the first choice, the least."""
    text = pattern.removeprefix("^").removesuffix("$")
    text = re.sub(r"\(\?(?:P?<\w+>|P'\w+'|'\w+'|:|i\))", "(", text).replace("(i)", "")
    text = re.sub(r"\\d|\[0-9\]|\[\\d\]", "1", text)
    text = re.sub(r"\[[^\]]+\]|\\w|(?<!\\)\.", "a", text)
    for _ in range(text.count("(")):
        text = re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)", r"\1", text, count=1)
    text = re.sub(r"[+*?]\??|\{\d+(?:,\d*)?\}", "", text).replace("\\", "")
    with contextlib.suppress(re.error):
        if re.fullmatch(r"[\w.-]+", text, re.ASCII) and re.search(re.sub(r"\(\?<(?=\w)", "(?P<", pattern), text):
            return text.lower()
    return ""

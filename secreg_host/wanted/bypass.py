"""Which lines of nginx.conf would lead past the password check: the names and places that only our own files may use.

What stands behind the check is also named so that no such line works (`templates/front`); this says so in time. What
root does on purpose elsewhere (a program in nginx, a copy of the images) stays root's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import distant
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.paths import PROCESSES_SHOWN
from secreg_host.formats.nginxconf import GENERATED, GENERATION, NEEDED, PAIR
from secreg_host.formats.nginxsyntax import Directive, Word, nested
from secreg_host.wanted import climbing

OPEN = "secreg_registry"
"""The upstream that an administrator may name; its socket asks for the password."""

LOGGED = ("secreg_json", "if=$secreg_logged")
"""A format for an access log, and what keeps our own probe out of it, and nobody else."""

REMEDY = f"write: proxy_pass http://{OPEN}; (it asks for the password) or include secure-registry/registry.conf;"

CLIMBS = "let captures begin and end at a /, as in location ~ ^/f/(.*)$ { alias /srv/www/$1; }; take $uri or $host"
PASSES = {f"{kind}_pass" for kind in ("proxy", "grpc", "fastcgi", "uwsgi", "scgi", "memcached")}
ALLOWED = re.compile(rf"(?<![\w@$/{{.-]){OPEN}(?![\w.-])|(?<=://){OPEN}(?![\w.-])", re.IGNORECASE)
OURS = re.compile(r"@secreg|\$\{?secreg|/_secreg|(?<!\w)secreg_", re.IGNORECASE)
"""nginx compares names of upstreams and variables without regard to case."""

AUTHORITY = re.compile(r"(?:(?:[a-z]+|\$scheme|\$\{scheme\})://)?(?P<authority>unix:[^:]*|[^/]*)", re.IGNORECASE)
URI = re.compile(r"\$\{?(request_uri|uri|document_uri)\b.*", re.DOTALL)
"""Variables that begin with a slash, whatever a client sends: the authority ends before them."""

TEXTS = {"location", "rewrite", "return", "if", "add_header", "error_page", "try_files", "log_format", "server_name"}
"""Directives whose words are addresses of requests, or texts, and no files."""

PATH = re.compile(r"(?:^|(?P<unix>unix:)|[=:,])(?P<path>/[^:,$]*)")
PROCESSES = tuple(f"{place}/" for place in PROCESSES_SHOWN)
STAGED = (*(f"/{name}" for name in PAIR), f"/{GENERATED}/", f"/{GENERATION}", "/nginx.conf")
"""What lies beside the staged nginx.conf, from where a relative path is looked up."""


@dataclass(frozen=True)
class Private:
    """Places that only our own files may name, as beginnings of paths: `/run/secure-registry/`."""

    beginnings: tuple[str, ...]

    @classmethod
    def of(cls, directories: Sequence[Path], beginning: Path) -> Private:
        """`directories`, by their names and by what they are links to, and whatever begins like `beginning`."""
        names = [place for path in directories for place in (str(path), _real(str(path)))]
        return cls((*dict.fromkeys(f"{name}/" for name in names), str(beginning)))

    def holds(self, path: str) -> bool:
        """Whether `path` (normalized) is one of these places, or in it."""
        return f"{path}/".startswith(self.beginnings)


def problems(directives: Sequence[Directive], where: str, private: Private) -> Iterator[Problem]:
    """What is wrong with the directives of file `where`, each with its line."""
    for directive, around in nested(directives):
        for word in directive.words:
            said = _name(directive, word) or _place(directive, word, private)
            if said:
                yield Problem(f"{where}:{word.line}", f"{word.text!r} {said}", REMEDY)
        if directive.name in ("root", "alias") and directive.args and _served(directive, around, private):
            said = f"{directive.name} {directive.args[0]}: files that are behind the password check would be sent"
            hint = "name a directory that holds what everybody may read, and nothing else"
            yield Problem(f"{where}:{directive.words[0].line}", said, hint)
        if said := climbing.problem(directive, around):
            yield Problem(f"{where}:{directive.words[0].line}", said, CLIMBS)
        if said := _kept(directive, directives, around):
            hint = "what is behind a password must not be kept for others: leave it out"
            yield Problem(f"{where}:{directive.words[0].line}", said, hint)


def _real(path: str) -> str:
    """`path` without links; as it is where that can't be told, or where nobody answers."""
    try:
        return distant.ask(path, lambda: os.path.realpath(path))
    except (OSError, ValueError, SecregError):
        return path


def _name(directive: Directive, word: Word) -> str:
    """What is wrong with a word by the names in it."""
    text = word.text
    if directive.name == "access_log" and text in LOGGED:
        return ""
    if directive.name in PASSES and word is not directive.words[0]:
        text = ALLOWED.sub("", text)
        authority = AUTHORITY.match(text)
        if authority and "$" in URI.sub("", authority["authority"]):
            return f"is an address that is only known when a request comes: {directive.name} could lead anywhere"
    if OURS.search(text):
        return f"is a name of secure-registry's own; the only one for nginx.conf is {OPEN}, in a proxy_pass"
    return ""


def _place(directive: Directive, word: Word, private: Private) -> str:
    """What is wrong with a word by the paths in it."""
    if directive.name in TEXTS or word is directive.words[0]:
        return ""
    relative = os.path.normpath(word.text)
    if relative.startswith(f"{GENERATED}/"):
        if directive.name == "include" and relative.removeprefix(f"{GENERATED}/") in NEEDED:
            return ""
        return "is a file of secure-registry's own"
    for found in PATH.finditer(word.text):
        path = os.path.normpath("/" + found["path"].lstrip("/"))
        if private.holds(path) or private.holds(_real(path)):
            return "leads to what is behind the password check"
        if found["unix"] and f"{path}/".startswith(PROCESSES):
            return "leads to another process's files"
    return ""


def _served(directive: Directive, around: Sequence[Directive], private: Private) -> bool:
    """Whether a `root` or `alias` in the blocks `around` it may send private files.

    What nginx adds to an alias is the rest of the address behind the location's own: `location /f { alias /srv/; }`
    sends `/srv/../etc` for `/f../etc`.
    """
    name, word = directive.name, directive.args[0]
    location = around[-1] if around and around[-1].name == "location" else None
    literal, variable, _ = word.partition("$")
    absolute = literal.startswith("/")
    if not literal or (not absolute and ".." in literal.split("/")):
        return True
    path = os.path.normpath("/" + literal.lstrip("/"))
    up = climbing.levels(word, climbing.captures(directive, around))
    if up is None:
        return True
    if up:
        above = Path(path) if literal.endswith("/") else Path(path).parent
        begins = f"{([above, *above.parents] + [Path('/')] * up)[up]}/"
    elif variable:
        begins = f"{path}/" if literal.endswith("/") else path
    elif name == "root" or (location is not None and location.args[:1] in (("=",), ("~",), ("~*",))):
        begins = f"{path}/"
    elif not literal.endswith("/"):
        begins = path
    elif location is not None and location.args and location.args[-1].endswith("/"):
        begins = f"{path}/"
    else:
        begins = f"{Path(path).parent}/"
    begins = re.sub("/+", "/", begins)
    if not absolute:
        return _meet(begins, STAGED)
    real = f"{_real(begins)}/" if begins.endswith("/") and begins != "/" else _real(begins)
    return any(_meet(each, (*private.beginnings, *PROCESSES)) for each in (begins, real))


def _meet(begins: str, private: Sequence[str]) -> bool:
    """Whether a path that begins with `begins` can be one that begins like those of `private`."""
    return any(one.startswith(begins) or begins.startswith(one) for one in private)


def _kept(directive: Directive, directives: Sequence[Directive], around: tuple[Directive, ...]) -> str:
    """What is wrong with a directive that lets nginx keep what the guarded socket answered."""
    if directive.name == "proxy_ignore_headers" and "x-accel-expires" in (word.lower() for word in directive.args):
        return "proxy_ignore_headers X-Accel-Expires: answers for one who has a password would be remembered for all"
    if directive.name == "proxy_store" and directive.args != ("off",) and around:
        inside = [one for one, blocks in nested(directives) if blocks == around and one.name in PASSES]
        if any(ALLOWED.search(word) for one in inside for word in one.args):
            return "proxy_store: answers for one who has a password would be kept"
    return ""

"""Flags of the Docker daemon: where an insecure registry must be written so that dockerd starts with it. Pure.

dockerd refuses to start when `--insecure-registry` is among its flags and "insecure-registries" stands in daemon.json.
So where flags are used, in a file that the unit reads, there is where ours go too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import utf8
from secreg_host.base.errors import bad_input
from secreg_host.clients.docker.unit import Unit
from secreg_host.clients.edits import Mine

FLAG = "--insecure-registry"
VARIABLE = "INSECURE_REGISTRY"
"""The variable of Red Hat's docker.service, in /etc/sysconfig/docker."""


@dataclass(frozen=True)
class Word:
    """A word of dockerd's command line, and where it comes from: file and variable, or the unit itself."""

    text: str
    file: Path | None = None
    variable: str = ""


@dataclass(frozen=True)
class Target:
    """Where our entries go: variable "" is daemon.json, else the variable in the environment file `path`."""

    path: Path
    variable: str = ""


def words(unit: Unit) -> Iterator[Word]:
    """The command line as systemd expands it (systemd.service(5), "Command lines")."""
    known = unit.known
    for text in unit.argv:
        match = re.fullmatch(r"\$(\{)?(\w+)\}?", text)
        if match is None:
            yield Word(text)
            continue
        value, file = known.get(match[2], ("", None))
        for piece in [value] if match[1] else _split(value):
            yield Word(piece, file, match[2])


def _split(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def values(given: list[Word], name: str) -> list[tuple[str, Word]]:
    """The values of flag `name` (`--name value` or `--name=value`), each with the word it begins with."""
    found = []
    for number, word in enumerate(given):
        if word.text == name and number + 1 < len(given):
            found.append((given[number + 1].text, word))
        elif word.text.startswith(f"{name}="):
            found.append((word.text.partition("=")[2], word))
    return found


def flagged(unit: Unit) -> list[Word]:
    """The words of its command line by which `unit` names insecure registries."""
    return [word for _, word in values(list(words(unit)), FLAG)]


def config_file(unit: Unit, usual: Path) -> Path:
    """The daemon.json that dockerd reads."""
    given = values(list(words(unit)), "--config-file")
    return Path(given[-1][0]) if given else usual


def decide(unit: Unit, usual: Path, *, in_json: bool) -> Target:
    """Where our entries must go; in_json: whether daemon.json has such a list of somebody else's.

    Raises BadInput when there is no place where they would not keep dockerd from starting.
    """
    given, config = flagged(unit), config_file(unit, usual)
    if given and in_json:
        raise bad_input(
            str(config), f"dockerd does not start with both this list and the flag {FLAG}", "keep one of the two"
        )
    for word in given:
        if word.file is None:
            raise bad_input(
                "docker.service",
                f"has the flag {FLAG}, so dockerd would not start with entries in {config}",
                f"move the flag's values to {config} (systemctl cat docker), then: secure-registry trust install; "
                "or use DOCKER_TRUST=ca",
            )
    if given and given[-1].file is not None:
        return Target(given[-1].file, given[-1].variable)
    if unit.files and not in_json and any(text in (f"${VARIABLE}", f"${{{VARIABLE}}}") for text in unit.argv):
        having = [path for path, data in unit.files if re.search(rb"(?m)^\s*" + VARIABLE.encode() + rb"=", data)]
        return Target((having or [path for path, _ in unit.files])[-1], VARIABLE)
    return Target(config)


class Flags:
    """`edits.Kind` of a variable with flags in an environment file."""

    def __init__(self, where: str, variable: str) -> None:
        self.where = where
        self.variable = variable

    def _line(self, text: str) -> re.Match[str] | None:
        """The last assignment. Raises BadInput when it is not one of the plain forms."""
        found = list(re.finditer(rf"(?m)^[ \t]*{re.escape(self.variable)}=(?P<value>.*)$", text))
        if not found:
            return None
        plain = re.compile(
            rf"(?m)^[ \t]*{re.escape(self.variable)}=(?P<quote>['\"]?)(?P<body>[^'\"\\$`\r\n]*)(?P=quote)$"
        )
        match = plain.match(text, found[-1].start())
        if match is None or (not match["quote"] and re.search(r"\s", match["body"])):
            line = text.count("\n", 0, found[-1].start()) + 1
            raise bad_input(
                f"{self.where}:{line}", f"{self.variable} is not written plainly", f"add {FLAG} there by hand"
            )
        return match

    def entries(self, data: bytes | None) -> tuple[str, ...]:
        match = self._line(utf8.lossless(data or b""))
        given = [Word(text) for text in match["body"].split()] if match else []
        return tuple(value for value, _ in values(given, FLAG))

    def add(self, data: bytes | None, wanted: tuple[str, ...]) -> tuple[bytes, tuple[str, ...], bool]:
        text = utf8.exact(data or b"", self.where)
        present = self.entries(data)
        missing = tuple(entry for entry in dict.fromkeys(wanted) if entry not in present)
        if not missing:
            return data or b"", (), False
        flags = " ".join(f"{FLAG} {entry}" for entry in missing)
        match = self._line(text)
        if match is None:
            gap = "" if not text or text.endswith("\n") else "\n"
            return f"{text}{gap}{self.variable}='{flags}'\n".encode(), missing, True
        quote, body = match["quote"] or "'", match["body"]
        value = f"{quote}{body}{' ' if body.strip() else ''}{flags}{quote}"
        start = match.start("quote")
        new = (text[:start] + value + text[match.end() :]).encode()
        if self.entries(new) != (*present, *missing):
            raise bad_input(self.where, "can't be edited safely", f"add {FLAG} to {self.variable} by hand")
        return new, missing, False

    def take_out(self, data: bytes, mine: Mine) -> bytes | None:
        text = utf8.lossless(data)
        match = self._line(text)
        if match is None:
            return data
        body = match["body"]
        for entry in mine.added:
            body = re.sub(rf"(^|\s+){FLAG}[ =]{re.escape(entry)}(?=\s|$)", "", body, count=1)
        if mine.made and not body.strip():
            left = text[: match.start()] + text[match.end() :].removeprefix("\n")
            return utf8.back(left) if left or mine.before is not None else None
        left = text[: match.start("body")] + body.lstrip() + text[match.end("body") :]
        return utf8.back(left)

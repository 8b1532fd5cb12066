"""k3s and RKE2's registries.yaml: an entry below `configs:`, put in as marked lines. Pure but for looking.

Source: k3s, "Private Registry Configuration". k3s reads the file when it starts.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from secreg_host.base import reading, utf8
from secreg_host.base.errors import BadInput, Note, Problem, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.clients.edits import Mine
from secreg_host.clients.served import Served
from secreg_host.formats import yamlfile

NAME = "k3s"
MARK = "  # secure-registry"


def found(paths: Paths) -> bool:
    """Whether k3s is on this host."""
    return find_program("k3s") is not None or reading.is_directory(paths.k3s)


def ca_file(paths: Paths) -> Path:
    """Where the CA stands that registries.yaml names."""
    return paths.k3s / "secure-registry-ca.crt"


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """The CA certificate; registries.yaml points at it."""
    return {} if insecure or served.ca is None else {ca_file(paths): served.ca}


def notes(paths: Paths) -> tuple[Problem, ...]:
    """What the administrator should know once that is done."""
    hint = "systemctl restart k3s (or k3s-agent); running pods stay"
    return (Note(str(paths.k3s / "registries.yaml"), "is read when k3s starts", hint),)


class Registries:
    """`edits.Kind` of registries.yaml; entries are spellings of endpoints."""

    def __init__(self, where: str, tls: dict[str, Any]) -> None:
        self.where = where
        self.tls = tls

    def load(self, data: bytes | None) -> dict[str, Any]:
        found = yamlfile.load(data or b"", self.where)
        if found is None:
            return {}
        if not isinstance(found, dict) or not isinstance(found.get("configs") or {}, dict):
            raise bad_input(
                self.where,
                "configs in it is no mapping of registries",
                "see https://docs.k3s.io/installation/private-registry",
            )
        return found

    def add(self, data: bytes | None, wanted: tuple[str, ...]) -> tuple[bytes, tuple[str, ...], bool]:
        before = self.load(data)
        configs = before.get("configs") or {}
        missing = tuple(word for word in dict.fromkeys(wanted) if word not in configs)
        if not missing:
            return data or b"", (), False
        text = utf8.lossless(data or b"")  # YAML may be UTF-16, which is refused below
        heading = re.search(r"(?m)^configs:[ \t]*(#.*)?$", text)
        if heading is None and "configs" in before:
            raise self._by_hand(missing)
        at = heading.end() if heading else len(text)
        child = re.compile(r"\n(?:[ \t]*(?:#.*)?\n)*( *)[^\s#-]").match(text, at) if configs else None
        indent = child[1] if child else "  "
        tls = json.dumps({"tls": self.tls})
        lines = [f"{indent}{json.dumps(word)}: {tls}{MARK}\n" for word in missing]
        if heading is None:
            gap = "" if not text or text.endswith("\n") else "\n"
            new = f"{text}{gap}configs:{MARK}\n{''.join(lines)}"
        else:
            tail = text[at + 1 :] if text[at : at + 1] == "\n" else text[at:]
            new = f"{text[:at]}\n{''.join(lines)}{tail}"
        after = {**configs, **{word: {"tls": self.tls} for word in missing}}
        try:
            if self.load(utf8.back(new)) != {**before, "configs": after}:
                raise self._by_hand(missing)
        except BadInput:
            raise self._by_hand(missing) from None
        return utf8.back(new), missing, heading is None

    def _by_hand(self, missing: tuple[str, ...]) -> BadInput:
        return bad_input(
            self.where,
            "is written in a form that can't be edited safely",
            f"add below configs: {missing[0]}: {json.dumps({'tls': self.tls})}",
        )

    def take_out(self, data: bytes, mine: Mine) -> bytes | None:
        kept = []
        for line in utf8.lossless(data).splitlines(keepends=True):
            ours = line.rstrip("\r\n").endswith(MARK)
            if ours and any(line.lstrip().startswith(f"{json.dumps(word)}:") for word in mine.added):
                continue
            kept.append(line)
        left = "".join(kept)
        if mine.made and not (self.load(utf8.back(left)).get("configs")):
            left = left.replace(f"configs:{MARK}\n", "", 1)
        return utf8.back(left) if left or mine.before is not None else None

"""k3s and RKE2's registries.yaml: an entry below `configs:`, put in as marked lines. Pure but for looking.

Source: k3s, "Private Registry Configuration". k3s reads the file when it starts.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secreg_host.base import files, reading, records, utf8
from secreg_host.base.errors import BadInput, Note, Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.process import find_program
from secreg_host.base.proxies import Proxies
from secreg_host.clients import edits
from secreg_host.clients.edits import Mine
from secreg_host.clients.kept import Kept
from secreg_host.clients.rules import Rules
from secreg_host.clients.served import Endpoint, Served
from secreg_host.formats import yamlfile
from secreg_host.pki.handshake import Rule

NAME = "k3s"
SERVICES = ("k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service")
OWN_PROXY = "CONTAINERD_"
"""What the names of its variables may begin with (docs.k3s.io, "Configuring an HTTP proxy")."""

MARK = "  # secure-registry"
NONE = type(None)
CONFIGS: dict[Any, records.Shape] = {str: ({"tls": ({"ca_file": str, "insecure_skip_verify": bool}, NONE)}, NONE)}
"""What is read of the configs of registries.yaml."""


def found(paths: Paths) -> bool:
    """Whether k3s is on this host."""
    return find_program("k3s") is not None or reading.is_directory(paths.k3s)


def ca_file(paths: Paths) -> Path:
    """Where the CA stands that registries.yaml names."""
    return paths.k3s / "secure-registry-ca.crt"


def wants(paths: Paths, served: Served, *, insecure: bool) -> dict[Path, bytes]:
    """The CA certificate; registries.yaml points at it."""
    return {} if insecure or served.ca is None else {ca_file(paths): served.ca}


def notes(paths: Paths, served: Served) -> tuple[Problem, ...]:
    """What the administrator should know once that is done."""
    hint = "systemctl restart k3s (or k3s-agent); running pods stay"
    return (Note(str(paths.k3s / "registries.yaml"), "is read when k3s starts", hint),)


def follow(paths: Paths, kept: Kept, wanted: tuple[str, ...], *, insecure: bool) -> bool:
    """Let registries.yaml say of the registries `wanted` whom to trust, or (insecure) that nobody has to be; of
    none: it is as it was. Returns whether it changed. Raises BadInput when it can't be edited safely."""
    path = paths.k3s / "registries.yaml"
    both: list[dict[str, Any]] = [{"ca_file": str(ca_file(paths))}, {"insecure_skip_verify": True}]
    seen = edits.read(path)
    mine = Mine.from_json(kept.of("k3s"))
    new, after = edits.plan(seen.data, mine, Registries(str(path), both[insecure], both), wanted)
    if new == seen.data:
        return False
    if not reading.is_directory(path.parent):
        files.make_directory(path.parent, 0o755)
    kept.save("k3s", after.as_json() if after else None)
    edits.replace(seen, new)
    return True


def rules(paths: Paths, proxies: Proxies) -> Rules:
    """k3s: registries.yaml."""
    configs: dict[str, Any] = {}
    with contextlib.suppress(SecregError):
        path = paths.k3s / "registries.yaml"
        found = Registries(str(path), {}).load(files.read_or_none(path)).get("configs") or {}
        configs = found if records.fits(found, CONFIGS) else {}

    def rule(endpoint: Endpoint, word: str) -> Rule:
        tls = (configs.get(word) or {}).get("tls") or {}
        ca = files.read_or_none(Path(tls["ca_file"])) if "ca_file" in tls else None
        through = proxies.towards(endpoint.host, endpoint.port)
        return Rule(bool(tls.get("insecure_skip_verify")), (ca,) if ca else (), through)

    return rule


class Registries:
    """`edits.Kind` of registries.yaml; entries are spellings of endpoints. tls: what is said of them; every: what
    may have been said of them before."""

    def __init__(self, where: str, tls: dict[str, Any], every: Sequence[dict[str, Any]] = ()) -> None:
        self.where = where
        self.tls = tls
        self.every = (tls, *every)

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
        given = {word: configs.get(word) for word in dict.fromkeys(wanted)}
        missing = tuple(word for word, config in given.items() if not (isinstance(config, dict) and config.get("tls")))
        if not missing:
            return data or b"", (), False
        text = utf8.lossless(data or b"")  # YAML may be UTF-16, which is refused below
        for word in missing:
            if word in configs:
                text = self._merged(text, word)
        new, made = self._with(text, tuple(word for word in missing if word not in configs), before)
        after = {**configs, **{word: {**(configs.get(word) or {}), "tls": self.tls} for word in missing}}
        try:
            if self.load(utf8.back(new)) != {**before, "configs": after}:
                raise self._by_hand(missing)
        except BadInput:
            raise self._by_hand(missing) from None
        return utf8.back(new), missing, made

    def _with(self, text: str, missing: tuple[str, ...], before: dict[str, Any]) -> tuple[str, bool]:
        """`text`, in which `before` stands, with a line for each that is `missing`; whether `configs:` is ours."""
        if not missing:
            return text, False
        heading = re.search(r"(?m)^configs:[ \t]*(#.*)?$", text)
        if heading is None and "configs" in before:
            raise self._by_hand(missing)
        at = heading.end() if heading else len(text)
        child = re.compile(r"\n(?:[ \t]*(?:#.*)?\n)*( *)[^\s#-]").match(text, at) if before.get("configs") else None
        indent = child[1] if child else "  "
        lines = "".join(f"{indent}{_line(word, self.tls)}\n" for word in missing)
        if heading is None:
            gap = "" if not text or text.endswith("\n") else "\n"
            return f"{text}{gap}configs:{MARK}\n{lines}", True
        tail = text[at + 1 :] if text[at : at + 1] == "\n" else text[at:]
        return f"{text[:at]}\n{lines}{tail}", False

    def _merged(self, text: str, word: str) -> str:
        """`text` with our tls in what stands there of `word`, such as its auth: a line below its own."""
        spelled = "|".join(map(re.escape, (word, f'"{word}"', f"'{word}'")))
        own = re.search(rf"(?m)^( +)(?:{spelled}):[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*(?=(\1 +)[^\s#])", text)
        if own is None:
            raise self._by_hand((word,))
        return f"{text[: own.end()]}{own[2]}{_line('tls', self.tls, bare=True)}\n{text[own.end() :]}"

    def _by_hand(self, missing: tuple[str, ...]) -> BadInput:
        return bad_input(
            self.where,
            "is written in a form that can't be edited safely",
            f"say below configs, beside what stands there of it: {missing[0]}: {json.dumps({'tls': self.tls})}",
        )

    def take_out(self, data: bytes, mine: Mine) -> bytes | None:
        ours = {_line(word, tls) for word in mine.added for tls in self.every}
        ours |= {_line("tls", tls, bare=True) for tls in self.every}  # what was edited is somebody else's
        lines = utf8.lossless(data).splitlines(keepends=True)
        left = "".join(line for line in lines if line.strip() not in ours)
        if mine.made and not (self.load(utf8.back(left)).get("configs")):
            left = left.replace(f"configs:{MARK}\n", "", 1)
        return utf8.back(left) if left or mine.before is not None else None


def _line(key: str, tls: dict[str, Any], *, bare: bool = False) -> str:
    """A line of ours without its indent: of a registry, or (bare) of the tls of one that somebody else wrote."""
    return f"{key}: {json.dumps(tls)}{MARK}" if bare else f"{json.dumps(key)}: {json.dumps({'tls': tls})}{MARK}"

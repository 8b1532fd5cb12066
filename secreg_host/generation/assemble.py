"""parts -> generation: the files that are rendered around what the administrator wrote."""

from __future__ import annotations

import glob
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace

from secreg_host.base import files, logs, marks, names, quoting, reading, templating, utf8
from secreg_host.base.paths import Paths
from secreg_host.formats import listening, users
from secreg_host.generation import basicauth, behind, direct, health, njs
from secreg_host.generation.generations import Generation
from secreg_host.host import authcache, processes
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.wanted import variants
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.variants import Variant

NO_SLOT = "none"
"""The slot of a generation that passes requests on to a registry of somebody else's."""

GUARDED = "guarded.sock"
"""In the front's run directory: the socket that asks for the password as every server that includes registry.conf."""

DEBUG = "secure-registry/debug.conf"
"""The front's server for the registry's metrics: it has an address of the world's, and is not rehearsed."""

PROBE = "probe"
"""In a generation, for root alone: by which word its front knows our own probe (http.conf.j2)."""

_WORD = "[a-z0-9]++(?:(?:[._]|__|-++)[a-z0-9]++)*"
NAME = f"{_WORD}(?:/{_WORD})*"
"""The name of a repository (distribution, reference/regexp.go, without a host before it). Possessive where nothing else
can follow: it is matched for each request, and PCRE remembers no way back there (pcre2pattern(3))."""

UTF8 = "|".join(
    [
        r"(?:[\x00-\x7f]",
        r"[\xc2-\xdf][\x80-\xbf]",
        r"\xe0[\xa0-\xbf][\x80-\xbf]",
        r"[\xe1-\xec\xee\xef][\x80-\xbf]{2}",
        r"\xed[\x80-\x9f][\x80-\xbf]",
        r"\xf0[\x90-\xbf][\x80-\xbf]{2}",
        r"[\xf1-\xf3][\x80-\xbf]{3}",
        r"\xf4[\x80-\x8f][\x80-\xbf]{2})*+",
    ]
)
"""Bytes that are UTF-8, for as long as they are (RFC 3629, section 4)."""


def assemble(host: Host, parts: Parts, slot: str) -> Generation:
    """The generation of `parts`, with the registry in `slot`."""
    parts = parts.having(parts[CertificatePart].placed)
    settings, registry = parts[SettingsPart].settings, parts[RegistryPart]
    paths = host.paths
    if settings.own_registry:
        upstream = f"unix:{processes.socket_of(host, slot)}"
    else:
        upstream = names.place(settings.registry_host, settings.registry_port)
        slot = NO_SLOT
    socket = processes.auth_socket(host)
    bits = _bits(paths)
    front = {
        "bits": bits,
        "word": (word := quoting.Quoted(marks.digest(b"probe ", bits.encode())[:32])),
        "auth_socket": socket,
        "queue_socket": processes.queue_socket(host),
        "behind": behind.of(upstream, registry).said,
        "upstream": upstream,
        "users": glob.escape(str(paths.users_live)),  # stands in patterns
        "registry_auth": registry.auth,
        "ca": parts[CertificatePart].ca is not None,
        "name": quoting.Quoted(NAME),
        "utf8": quoting.Quoted(UTF8),
        "tree": direct.tree(host, registry, slot),
        "look": direct.must_look(host),
        "headers": registry.headers if settings.own_registry else (),
        "memory": authcache.place(host),
        **_own(host, parts),
        "njs": None,
        "load_njs": False,
        "debug": None,
    }
    if (debug := registry.debug) and slot != NO_SLOT:
        both = debug.host == "" and hosts.has_ipv6()
        front["debug"] = [listening.place(one) for one in (debug, *([replace(debug, host="::")] if both else []))]
        front["debug_of_slot"] = processes.debug_of(slot, debug.port)
    module = njs.module(host, settings) if front["tree"] and not front["look"] else None
    if module and not module.wrong:
        loaded = njs.loaded_by(parts[NginxPart])
        if loaded or njs.can_load(parts[NginxPart]):
            front |= {"njs": module.path, "load_njs": not loaded}
    rendered = _always(paths, front, parts[NginxPart]) | {PROBE: word.encode()}
    if front["debug"]:
        rendered[f"front/{DEBUG}"] = templating.render(paths.templates, "front/debug.conf.j2", **front)
        rendered["registry/environment"] = f"REGISTRY_HTTP_DEBUG_ADDR={front['debug_of_slot']}\n".encode()
    if front["njs"]:
        rendered["front/secure-registry/manifest.js"] = njs.script(paths.templates, str(front["tree"]), bits)
    rendered["auth/nginx.conf"] = templating.render(
        paths.templates,
        "auth/nginx.conf.j2",
        run=paths.auth_run,
        auth_socket=socket,
        users=paths.users_live,
        no_password=basicauth.NO_PASSWORD,
        probe=users.PROBE,
    )
    if slot != NO_SLOT:
        rendered[f"registry/slot-{slot}"] = b""
    return Generation(parts, slot, rendered)


def _always(paths: Paths, front: Mapping[str, object], nginx: NginxPart) -> dict[str, bytes]:
    """The files that every front has; registry.conf for each kind of server block that includes it."""

    def render(name: str, **more: object) -> bytes:
        return templating.render(paths.templates, f"front/{name}.j2", **front, **more)

    def locations(variant: Variant, *, inside: bool = False) -> bytes:
        of = {"added": variant.headers, "named": variant.named, "taken": variant.taken, "logs": variant.logs}
        return render("registry.conf", inside=inside, **of)

    own = ("main.conf", "http.conf", "client.conf", "unauthorized.json")
    found = {f"front/secure-registry/{name}": render(name) for name in own}
    found |= {f"front/{variants.name(number)}": locations(one) for number, one in enumerate(nginx.variants)}
    return found | {"front/secure-registry/inside.conf": locations(Variant(), inside=True)}


def _own(host: Host, parts: Parts) -> dict[str, object]:
    """Names and places of the front's own, whether it answers /healthz, and whether it says how long it waits."""
    paths, nginx = host.paths, parts[NginxPart]
    return {
        "manifests_socket": processes.manifests_socket(host),
        "run": paths.front_run,
        "log": paths.log,
        "requests_log": logs.requests(paths),
        "pulls": parts[SettingsPart].settings.audit_pulls,
        "guarded": paths.front_run / GUARDED,
        "probe": users.PROBE,
        "health": not health.taken(nginx),
        "away": health.flag(paths),
        "patience": not nginx.patience,
        "variables": "variables_hash_max_size" not in nginx.sized,
    }


def _bits(paths: Paths) -> quoting.Quoted:
    """128 random bits (hexadecimal), this host's own: what leads past the password check is named by them.

    Raises SecregError when there are none yet and they can't be kept.
    """
    kept = utf8.shown(reading.content(paths.front_secret) or b"").strip()
    if re.fullmatch("[0-9a-f]{32}", kept):
        return quoting.Quoted(kept)
    made = secrets.token_hex(16)
    files.write_own(paths.front_secret, f"{made}\n".encode())
    return quoting.Quoted(made)


def probe_word(generation: Generation) -> str:
    """By which word the front of `generation` knows our own probe; "": by none, a version before made it."""
    return utf8.shown(generation.rendered.get(PROBE, b""))


def generation_conf(generation: Generation) -> dict[str, bytes]:
    """The location that only the front of `generation` answers (204), by which the probe knows what serves."""
    text = f"""\
# Generated: how the probe knows which generation answers.
location = {answer_path(generation)} {{
    access_log off;
    return 204;
}}
"""
    return {"front/generation.conf": text.encode()}


def answer_path(generation: Generation) -> str:
    """The address that only the front of `generation` answers (204)."""
    return f"/_secreg/generation/{generation.front}"

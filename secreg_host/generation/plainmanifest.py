"""How manifests are commonly written, as patterns: the front's script knows by them the media type that distribution
finds. They hold known keys in their usual order, each once at the top and with a value that distribution takes."""

from __future__ import annotations

from secreg_host.base.quoting import Quoted

IMAGES = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
INDEXES = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
"""Those that say no type have the last one of each."""

_WS = r"[ \t\n\r]*"
_STRING = r'"[^"\\\x00-\x1f]*"'
_ESCAPED = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_NUMBER = "(?:0|[1-9][0-9]{0,15})"


def _pair(keys: str, value: str) -> str:
    """A key, one of those of the pattern `keys`, and its value."""
    return f'"(?:{keys})"{_WS}:{_WS}{value}'


def _many(opening: str, item: str, closing: str) -> str:
    """One item or more. Nothing in it matches in two ways, so that what does not match ends soon."""
    return f"{opening}{_WS}{item}{_WS}(?:,{_WS}{item}{_WS})*{closing}"


def _object(*pairs: str) -> str:
    return _many(r"\{", f"(?:{'|'.join(pairs)})", r"\}")


def _list(item: str) -> str:
    return _many(r"\[", item, r"\]")


_ANNOTATIONS = _pair("annotations", _object(f"{_ESCAPED}{_WS}:{_WS}{_ESCAPED}"))
_PLATFORM = _object(
    _pair(r"architecture|os|os\.version|variant", _STRING), _pair(r"os\.features|features", _list(_STRING))
)
_DESCRIPTOR = _object(
    _pair("mediaType|digest", _STRING),
    _pair("size", _NUMBER),
    _pair("artifactType", _STRING),
    _pair("platform", _PLATFORM),
    _pair("urls", _list(_STRING)),
    _ANNOTATIONS,
)
_DESCRIPTORS = rf"(?:\[{_WS}\]|{_list(_DESCRIPTOR)})"


def _whole(types: tuple[str, ...], *parts: str) -> Quoted:
    """All of a manifest's text; its type, if it says one, is the group. For JavaScript and Python."""
    said = "|".join(one.replace("/", r"\/").replace(".", r"\.").replace("+", r"\+") for one in types)
    comma = f"{_WS},{_WS}"

    def perhaps(pair: str) -> str:
        return f"(?:{comma}{pair})?"

    first = _pair("schemaVersion", "2") + perhaps(_pair("mediaType", f'"({said})"'))
    last = perhaps(_pair("subject", _DESCRIPTOR)) + perhaps(_ANNOTATIONS)
    middle = perhaps(_pair("artifactType", _STRING)) + "".join(f"{comma}{part}" for part in parts)
    return Quoted(rf"^{_WS}\{{{_WS}{first}{middle}{last}{_WS}\}}{_WS}$")


IMAGE = _whole(IMAGES, _pair("config", _DESCRIPTOR), _pair("layers", _DESCRIPTORS))
INDEX = _whole(INDEXES, _pair("manifests", _DESCRIPTORS))

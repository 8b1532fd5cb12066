"""How manifests are commonly written, as patterns: the front's script knows the media type of one that matches without
parsing it, which costs as much as all else that nginx does for it."""

from __future__ import annotations

from secreg_host.base.quoting import Quoted

IMAGES = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
INDEXES = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
"""Of what has no `mediaType`, the last of each."""

_WS = r"[ \t\n\r]*"
_STRING = r'"[^"\\\x00-\x1f]*"'
_NUMBER = "(?:0|[1-9][0-9]{0,15})"


def _pair(keys: str, value: str) -> str:
    """A key, one of those of the pattern `keys`, and its value."""
    return f'"(?:{keys})"{_WS}:{_WS}{value}'


def _many(opening: str, item: str, closing: str) -> str:
    """One item or more. Nothing in it matches in two ways, so that what does not match ends soon."""
    return f"{opening}{_WS}{item}{_WS}(?:,{_WS}{item}{_WS})*{closing}"


_TEXTS = _many(r"\{", f"{_STRING}{_WS}:{_WS}{_STRING}", r"\}")
_PLATFORM = _many(r"\{", _pair(r"architecture|os|os\.version|variant", _STRING), r"\}")
_DESCRIPTOR = _many(
    r"\{",
    "(?:"
    + "|".join(
        [
            _pair("mediaType|digest", _STRING),
            _pair("size", _NUMBER),
            _pair("platform", _PLATFORM),
            _pair("annotations", _TEXTS),
        ]
    )
    + ")",
    r"\}",
)
_DESCRIPTORS = _many(r"\[", _DESCRIPTOR, r"\]")


def _whole(types: tuple[str, ...], *parts: str) -> Quoted:
    """All of a manifest's text: a type, which is the first group, and what follows it. For JavaScript and Python."""
    said = "|".join(one.replace("/", r"\/").replace(".", r"\.").replace("+", r"\+") for one in types)
    pairs = [_pair("schemaVersion", "2"), _pair("mediaType", f'"({said})"'), *parts]
    more = f"(?:,{_WS}{_pair('annotations', _TEXTS)}{_WS})?"
    return Quoted(rf"^{_WS}\{{{_WS}" + f"{_WS},{_WS}".join(pairs) + rf"{_WS}{more}\}}{_WS}$")


PLAIN_IMAGE = _whole(IMAGES, _pair("config", _DESCRIPTOR), _pair("layers", _DESCRIPTORS))
PLAIN_INDEX = _whole(INDEXES, _pair("manifests", _DESCRIPTORS))

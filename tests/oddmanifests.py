"""Texts of manifests such as no client writes, or nearly: each could be taken for another type, or for one at all.

The registry takes few of them; they are for its storage, as `plant` of test_equivalence.py writes them.
"""

from __future__ import annotations

from collections.abc import Iterator

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OTHERS = (DOCKER, OCI_INDEX, "", "a/b")

CONFIG = f'{{"mediaType":"a/b","size":1,"digest":"sha256:{"0" * 64}"}}'
LAYERS = f"[{CONFIG}, {CONFIG}]"
SAID = f'"mediaType": "{OCI}"'


def image(kind: str = OCI, config: str = CONFIG, layers: str = LAYERS, more: str = "") -> str:
    """Written as most are."""
    return f'{{"schemaVersion": 2, "mediaType": "{kind}", "config": {config}, "layers": {layers}{more}}}'


def index(kind: str = OCI_INDEX, manifests: str = LAYERS, more: str = "") -> str:
    return f'{{"schemaVersion": 2, "mediaType": "{kind}", "manifests": {manifests}{more}}}'


PLAIN = image()


def texts() -> Iterator[bytes]:
    """All of them, and plain ones."""
    for some in (_types(), _keys(), _versions(), _parts(), _rest(), _ends(), _large()):
        yield from (text.encode() for text in some)
    yield from _bytes()


def _types() -> Iterator[str]:
    """What is said to be its type, and where."""
    for kind in (DOCKER, DOCKER_LIST, *OTHERS, OCI, OCI.upper(), f"{OCI} ", OCI.replace(".", "x")):
        yield from (image(kind), index(kind))
    escaped, slashes = SAID.replace("m", "\\u006d"), SAID.replace("/", "\\/")
    for said in (escaped, slashes, SAID.lower(), SAID.replace("m", "M"), SAID.replace('"m', '"\u212a'), SAID[1:]):
        yield PLAIN.replace(SAID, said)
    for value in (f'["{OCI}"]', f'{{"a": "{OCI}"}}', "null", "2", f'"{OCI}', f"'{OCI}'", f'"{OCI}" "{OCI}"'):
        yield PLAIN.replace(SAID, f'"mediaType": {value}')
    for blank in ("\t\r\n", "\x0b", "\x0c", "\xa0", "\u2028", "\0", "/**/"):
        yield PLAIN.replace(": ", f":{blank}")
    for other in OTHERS:
        yield PLAIN.replace(SAID, f'"mediaType": "{other}", {SAID}')
        yield image(config=CONFIG.replace("a/b", other), layers=f"[{CONFIG.replace('a/b', other)}]")
        inside = f'x\\", \\"mediaType\\": \\"{other}'
        yield image(config=CONFIG.replace("a/b", inside))
        yield image(config=CONFIG.replace("a/b", inside.replace("\\", "")))
        for inner in (
            f'{{"mediaType": "{other}"}}', f'[{{"mediaType": "{other}"}}]', f'{{"a": {{"mediaType": "{other}"}}}}',
        ):  # fmt: skip
            yield from (image(more=f', "{key}": {inner}') for key in ("annotations", "x"))
            yield PLAIN.replace(f"{SAID}, ", "").replace(CONFIG, inner)


def _keys() -> Iterator[str]:
    """Keys that come a second time, perhaps in another way that Go takes for the same, or that tell another kind."""
    for key in ("mediaType", "MediaType", "MEDIATYPE", "\\u006dediaType", "m\\u0065diaType", "mediaType ", "x"):
        for other in OTHERS:
            more = f', "{key}": "{other}"'
            yield from (image(more=more), index(more=more), PLAIN.replace(LAYERS, f"{LAYERS[:-2]}{more}}}]"))
    for key in (
        "manifests", "Manifests", "manifest\u017f", "fsLayers", "FSLAYERS", "layers", "Layers", "config", "signatures",
    ):  # fmt: skip
        for value in ("null", "[]", "{}", LAYERS, CONFIG, '"x"', "1"):
            yield from (image(more=f', "{key}": {value}'), index(more=f', "{key}": {value}'))


def _versions() -> Iterator[str]:
    for version in ("1", "3", "2.0", "2e0", "20e-1", "02", "-2", "+2", '"2"', "null", "[2]", "true", "2,", "", "2 2"):
        yield from (PLAIN.replace(": 2", f": {version}"), image(more=f', "schemaVersion": {version}'))
    for key in ("SchemaVersion", "\u017fchemaVersion", "\\u017fchemaVersion", "schemaVer\u017fion"):
        yield from (image(more=f', "{key}": {version}') for version in (1, 2, 3, '"2"'))


def _parts() -> Iterator[str]:
    """What a manifest is made of."""
    for value in (
        "[]", "[ ]", "null", "{}", CONFIG, f"[{CONFIG},]", f"[,{CONFIG}]", f"[{CONFIG} {CONFIG}]", f"{LAYERS[:-1]}}}",
    ):  # fmt: skip
        yield from (image(layers=value), index(manifests=value))
    for value in ("{}", "{ }", f"{CONFIG[:-1]},}}", f"{CONFIG[:-1]}]", f"{{,{CONFIG[1:]}", "null", "[]", '"x"'):
        yield image(config=value)
    yield from (
        PLAIN.replace('"size":1', f'"size":{size}')
        for size in ("0", "01", "-0", "1.0", "9" * 15, "9" * 20, '"1"', "1x", "")
    )
    texts = '"annotations": {"a": "b"}'
    for more in (
        texts, f"{texts}, {texts}", '"annotations": "x"', '"annotations": {"a": 1}', '"annotations": {"a": {}}',
    ):  # fmt: skip
        yield from (image(more=f", {more}"), index(more=f", {more}"), PLAIN.replace('"size"', f'{more}, "size"'))
    for platform in (
        '{"os": "linux", "architecture": "arm"}', '{"os": "linux",}', '{"os" "linux"}', "{}", '"x"', '{"os": 1}',
        '{"os.features": "x"}',
    ):  # fmt: skip
        yield index(manifests=LAYERS.replace('"size"', f'"platform":{platform},"size"'))


def _rest() -> Iterator[str]:
    """What newer specifications know besides, with values that they take and that they don't."""
    for value in ('"a/b"', '""', "1", "{}", CONFIG, '"a\\/b"', "null"):
        for key in ("artifactType", "subject"):
            yield from (image(more=f', "{key}": {value}'), index(more=f', "{key}": {value}'))
            yield PLAIN.replace(f"{SAID}, ", f'{SAID}, "{key}": {value}, ')
    for value in ('["a"]', '["a", "b"]', "[]", '["a",]', '["a" "b"]', "[1]", '"a"', "[[]]", '{"a": "b"}'):
        yield PLAIN.replace('"size"', f'"urls": {value}, "size"')
        yield from (
            index(manifests=LAYERS.replace('"size"', f'"platform": {{"{key}": {value}}}, "size"'))
            for key in ("os.features", "features", "os")
        )
    for text in (
        '\\"',
        "\\\\",
        "\\/",
        "\\n",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\u00",
        "\\x41",
        "\\",
        "\\a",
        "\\u00g0",
    ):
        yield from (
            image(more=f', "annotations": {{"{key}": "{value}"}}') for key, value in (("a", text), (text, f"b{text}"))
        )
        yield PLAIN.replace("a/b", text)
    untyped = PLAIN.replace(f"{SAID}, ", "")
    yield from (untyped, untyped.replace(LAYERS, "[]"), index().replace(f'"mediaType": "{OCI_INDEX}", ', ""))
    yield from (f"{untyped[:-1]}, {SAID}}}", f'{untyped[:-1]}, "manifests": {LAYERS}}}')


def _ends() -> Iterator[str]:
    """What is before or after it, or missing there."""
    for more in (
        "", " ", "\n\n", "\t\r", "\0", "\x0b", "\x0c", "\xa0", "x", "{}", ",", "}", "]", "//", "\ufeff", PLAIN,
    ):  # fmt: skip
        yield from (PLAIN + more, more + PLAIN, more)
    yield from (f"[{PLAIN}]", f'{{"x": {PLAIN}}}', f'"{PLAIN}"', "2", '""', "true", PLAIN[:-1], PLAIN[1:])
    yield from (PLAIN.replace("}", "}}"), PLAIN.replace("{", "{{"), PLAIN.replace(",", ",,"), PLAIN.replace(",", ""))


def _large() -> Iterator[str]:
    for depth in (10, 40, 2000, 12_000):
        yield image(more=f', "x": {"[" * depth}{"]" * depth}')
    for many in (1, 100, 150, 200, 3000):
        yield image(layers=f"[{', '.join([CONFIG] * many)}]")


def _bytes() -> Iterator[bytes]:
    """What is no text, or not in UTF-8."""
    yield from (PLAIN.encode("utf-16"), PLAIN.encode("utf-16-le"), PLAIN.encode("utf-32"))
    umlaut, pair = "gr\u00f6\u00dfer".encode(), "\U0001f600".encode()
    for value in (
        umlaut, pair, b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\x7f", b"\x1f", b"\n", b"\0", b"\\x", b"\\",
    ):  # fmt: skip
        yield image(more=', "annotations": {"a": "VALUE"}').encode().replace(b"VALUE", value)
        yield image(more=', "annotations": {"VALUE": "a"}').encode().replace(b"VALUE", value)
        yield image(more=', "VALUE": "a"').encode().replace(b"VALUE", value)
        yield PLAIN.encode().replace(b"a/b", value)
        yield PLAIN.encode().replace(b"mediaType", b"mediaType" + value)

"""docker-registry.yml: every wrong shape is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.formats import registryconf
from secreg_host.formats.registryconf import Keeping, Redis


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: [", "f:1", "not YAML"),
        ("a: é\nb: \0", "f:2", "no text"),
        ("a: é\n\nb: \x01", "f:3", "no text"),
        ("<<: {a: 1}\nb: é\nc:\n- 2024-13-45", "f:4", "no such date"),
        ("storage:\n  filesystem:\n    rootdirectory: x\n", "f:3", "rootdirectory is not an absolute path"),
        ("http:\n  addr: :5\n  debug: {tls: 1,\n    addr: x}", "f:4", "http.debug.addr is not such an address"),
        ("version: 0.1\n\tstorage: x", "f:2", "not YAML"),
        ("", "f", "is a mapping; this is not"),
        ("- x", "f", "is a mapping; this is not"),
        ("just text", "f", "is a mapping; this is not"),
        ("version: 0.2\nstorage: {inmemory: {}}", "f:1", "version is not 0.1"),
        ("storage: {inmemory: {}}", "f", "version is not 0.1"),
        ("version: 0.1", "f", "names no driver"),
        ("version: 0.1\nstorage: {cache: {}}", "f:2", "names no driver"),
        ("version: 0.1\nstorage: {s3: {}, filesystem: {}}", "f:2", "2 drivers"),
        ("version: 0.1\nstorage: {inmemory: {}}\nhttp: 5", "f:3", "http must be a mapping"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: x}}", "f:2", "rootdirectory is not an absolute path"),
        (
            "version: 0.1\nstorage: {filesystem: {rootdirectory: '/a\\b'}}",
            "f:2",
            "rootdirectory is not an absolute path",
        ),
        ('version: 0.1\nstorage: {filesystem: {rootdirectory: "/a\\nb"}}', "f:2", "rootdirectory is not an absolute"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: 7}}", "f:2", "rootdirectory is not an absolute path"),
    ],
)
def test_what_is_wrong_is_named(text: str, where: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        registryconf.parse(text.encode(), "f")
    found = caught.value.problems[-1]
    assert found.where == where and what in found.what and found.hint


@pytest.mark.parametrize(
    ("data", "line"), [(b"a: \xc3\xa9\nb: \xe9\n", 2), (b"a: 1\n\nb: c\xe9", 3), (b"\xff\xfe\x00", 1)]
)
def test_bytes_that_are_no_text_are_told_with_their_line(data: bytes, line: int) -> None:
    with pytest.raises(BadInput) as caught:
        registryconf.parse(data, "f")
    assert [problem.where for problem in caught.value.problems] == [f"f:{line}"]


def test_the_place_of_a_key() -> None:
    yml = b"""version: 0.1
storage: &all
  cache: {rootdirectory: /no}
  filesystem: {maxthreads: 100,
    'rootdirectory': /x}
http: {addr: ":5",
  debug: {addr: ":6"}}
"""
    for path, line in {
        registryconf.ROOT: 5,
        registryconf.DEBUG_ADDRESS: 7,
        ("storage", "s3"): 2,
        ("http", "addr"): 6,
    }.items():
        assert registryconf.place("f", yml, *path) == f"f:{line}"
    assert registryconf.place("f", yml, "log") == registryconf.place("f", b"a: [", "a") == "f"


@pytest.mark.parametrize(
    ("text", "root", "auth"),
    [
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: /x}}", "/x", False),
        ("version: 0.1\nstorage: {filesystem: {}}", "/var/lib/registry", False),
        ("version: 0.1\nstorage: {filesystem: }", "/var/lib/registry", False),
        ("version: 0.1\nstorage: inmemory\nauth: {silly: {}}", None, True),
        ("version: 0.1\nstorage: {s3: {}, delete: {enabled: true}, cache: {}}", None, False),
    ],
)
def test_what_is_right_is_understood(text: str, root: str | None, auth: bool) -> None:
    found = registryconf.parse(text.encode(), "f")
    assert (found.root, found.auth) == (Path(root) if root else None, auth)


FILES = "version: 0.1\nstorage: {filesystem: {rootdirectory: /x}}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("version: 0.1\nstorage: {inmemory: {}}", "not filesystem"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: /a$b}}", "nginx can't take"),
        (FILES + "auth: {token: {realm: x}}", "it has auth"),
        (FILES + "middleware: {storage: [{name: redirect}]}", "it has middleware"),
        (FILES + "notifications: {endpoints: [{name: x}]}", "it has notifications"),
        (FILES + "proxy: {remoteurl: 'https://example.org'}", "a proxy of another registry"),
        (FILES + "health: {file: [{file: /down}]}", "turn it off"),
        (FILES + "http: {prefix: /x/}", "another path"),
        (FILES + "http: {headers: {ETag: [x]}}", "only it can send"),
        (FILES + 'http: {headers: {X: ["é"]}}', "only it can send"),
        (FILES + "http: {headers: {X: [5]}}", "only it can send"),
        (FILES + "http: {headers: [X]}", "only it can send"),
    ],
)
def test_only_the_registry_answers_downloads_that_are_more_than_files(text: str, why: str) -> None:
    assert why in registryconf.parse(text.encode(), "f").more


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ("", ()),
        ("health: {storagedriver: {enabled: true}}\nnotifications: {events: {includereferences: true}}", ()),
        ("http: {prefix: /, headers: {X-Content-Type-Options: [nosniff], A: ['b c', d]}}",
         (("X-Content-Type-Options", "nosniff"), ("A", "b c"), ("A", "d"))),
        ('http: {headers: {X: ["a\\"b; {c} #"]}}', (("X", 'a"b; {c} #'),)),
    ],
)  # fmt: skip
def test_downloads_that_are_files(more: str, headers: tuple[tuple[str, str], ...]) -> None:
    found = registryconf.parse((FILES + more).encode(), "f")
    assert (found.more, found.headers) == ("", headers)


def keeping(more: str) -> Keeping:
    return registryconf.keeping(f"version: 0.1\nstorage:\n  filesystem: {{}}\n{more}".encode(), "f")


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", Keeping()),
        ("  cache: {blobdescriptor: inmemory}", Keeping("inmemory")),
        ("  cache: {layerinfo: inmemory}", Keeping("inmemory")),
        ("  cache: {layerinfo: inmemory, blobdescriptor: ''}", Keeping()),
        ("  cache: []", Keeping()),
        ("proxy: {remoteurl: https://x}", Keeping(proxied=True)),
        ("  maintenance: {uploadpurging: {age: 24h}}", Keeping(uploads=86400)),
        ("  cache: {blobdescriptor: redis}\nredis: {addr: 'r:6379'}", Keeping("redis", Redis("r", 6379))),
        (
            "  cache: {blobdescriptor: redis}\n"
            "redis: {addr: '[::1]:6380', username: u, password: 12, db: 3, tls: {enabled: true}}",
            Keeping("redis", Redis("::1", 6380, "u", "12", 3, tls=True)),
        ),
        ("  cache: {blobdescriptor: redis}\nredis: {addrs: [':6379']}", Keeping("redis", Redis("localhost", 6379))),
    ],
)
def test_what_a_registry_remembers_and_where(more: str, found: Keeping) -> None:
    assert keeping(more) == found


@pytest.mark.parametrize("said", ["", "{addr: r}", "{addrs: ['a:1', 'b:2']}", "{addr: 'r:1', db: x}"])
def test_a_redis_of_which_it_is_not_known_where_it_is(said: str) -> None:
    with pytest.raises(BadInput, match="it is not told which Redis") as caught:
        keeping(f"  cache: {{blobdescriptor: redis}}\nredis: {said}")
    assert caught.value.problems[0].where == "f:5"

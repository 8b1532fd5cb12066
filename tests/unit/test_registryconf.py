"""docker-registry.yml: every wrong shape is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host import registryconf
from secreg_host.errors import BadInput


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: [", "f:1", "not YAML"),
        ("version: 0.1\n\tstorage: x", "f:2", "not YAML"),
        ("", "f", "is a mapping; this is not"),
        ("- x", "f", "is a mapping; this is not"),
        ("just text", "f", "is a mapping; this is not"),
        ("version: 0.2\nstorage: {inmemory: {}}", "f", "version is 0.2"),
        ("storage: {inmemory: {}}", "f", "version is None"),
        ("version: 0.1", "f", "names no driver"),
        ("version: 0.1\nstorage: {cache: {}}", "f", "names no driver"),
        ("version: 0.1\nstorage: {s3: {}, filesystem: {}}", "f", "2 drivers"),
        ("version: 0.1\nstorage: {inmemory: {}}\nhttp: 5", "f", "http must be a mapping"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: x}}", "f", "rootdirectory is 'x'"),
        ("version: 0.1\nstorage: {filesystem: {rootdirectory: 7}}", "f", "rootdirectory is 7"),
    ],
)
def test_what_is_wrong_is_named(text: str, where: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        registryconf.parse(text.encode(), "f")
    found = caught.value.problems[0]
    assert found.where == where and what in found.what and found.hint


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(BadInput):
        registryconf.parse(b"\xff\xfe\x00", "f")


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

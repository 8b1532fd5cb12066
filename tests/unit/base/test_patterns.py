"""Patterns of `include`: as glob(3) has it, and never the whole machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.base import patterns
from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.formats import nginxconf
from secreg_host.wanted import sources

CONF = """\
include secure-registry/main.conf;
http {{
    include secure-registry/http.conf;
    {0}
    server {{
        listen 443 ssl;
        include secure-registry/registry.conf;
    }}
}}
"""


def test_what_a_pattern_stands_for(tmp_path: Path) -> None:
    for name in ("a/one.conf", "a/two.conf", "a/.hidden.conf", "a/b/three.conf", "[x]/four.conf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/gone.conf").symlink_to("nowhere")

    def found(pattern: str) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in patterns.expand(f"{tmp_path}/{pattern}")]

    assert found("a/*.conf") == ["a/gone.conf", "a/one.conf", "a/two.conf"]
    assert found("a/.*.conf") == ["a/.hidden.conf"]
    assert found("**/o*.conf") == ["a/one.conf"]
    assert found("a/**.conf") == found("a/*.conf")
    assert found("*/b/*") == ["a/b/three.conf"]
    assert found("a/[^o]*.conf") == found("a/[!o]*.conf") == ["a/gone.conf", "a/two.conf"]
    assert found("[[]x]/f*") == ["[x]/four.conf"]
    assert found("a/one.conf/*") == found("none/*") == found("*/*/*/*/x") == found("\0*") == []


def test_a_pattern_over_the_whole_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`include /**/x*.conf;`, on which pathlib raises ValueError, and all its kind: with the line, and at once."""
    assert isinstance(patterns.expand("/**x/*.conf"), tuple)
    monkeypatch.setattr(patterns, "ENTRIES", 20)
    for name in map(str, range(30)):
        (tmp_path / "many" / name).mkdir(parents=True)
    with pytest.raises(BadInput, match="more than 20 files"):
        patterns.expand(f"{tmp_path}/many/*/x")
    for word in (f"{tmp_path}/many/**/x*.conf", "many/*"):
        data = CONF.format(f"include {word};").encode()
        with pytest.raises(BadInput) as raised:
            nginxconf.bundle(tmp_path / "nginx.conf", data, lambda _: b"")
        assert raised.value.problems[0].where == f"{tmp_path}/nginx.conf:4"
    paths = Paths(tmp_path)
    assert sources.fingerprint(paths, [f"{tmp_path}/many/*"])
    assert sources.directories(paths, [f"{tmp_path}/many/*"])


@pytest.mark.parametrize("outside", [False, True])
def test_files_that_include_each_other_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: bool
) -> None:
    """A chain of a thousand files, or too many bytes of them, are told with the line of nginx.conf."""
    monkeypatch.setattr(nginxconf, "BYTES", 100_000)
    prefix = "/elsewhere/" if outside else ""

    def chain(path: Path) -> bytes:
        return f"include {prefix}{int(path.stem) + 1}.conf;".encode()

    for read in (chain, lambda _: b"# remark\n" * 2_000):
        listing = " ".join(f"include {prefix}{number}.conf;" for number in range(10))
        with pytest.raises(BadInput) as raised:
            nginxconf.bundle(tmp_path / "nginx.conf", CONF.format(listing).encode(), read)
        assert "with this nginx reads over" in str(raised.value)

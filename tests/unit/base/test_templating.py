"""Compiled templates are kept, and nothing depends on them."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from secreg_host.base import templating


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled templates are kept; the only template says hello."""
    templates, compiled = tmp_path / "templates", tmp_path / "compiled"
    for folder in (templates, compiled):
        folder.mkdir()
    (templates / "hello.j2").write_text("hello {{ name | line }}\n")
    monkeypatch.setattr(templating, "TEMPLATES", templates)
    monkeypatch.setattr(templating, "COMPILED", compiled)
    return compiled


def hello(kept: Path, name: str) -> bytes:
    """What a new process renders."""
    templating._environment.cache_clear()
    return templating.render(kept.parent / "templates", "hello.j2", name=name)


def test_what_was_compiled_is_used_until_the_template_changes(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hello(kept, "one") == b"hello one\n"
    with monkeypatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", lambda *_, **__: pytest.fail("it was compiled again"))
        assert hello(kept, "two") == b"hello two\n"
    (kept.parent / "templates/hello.j2").write_text("goodbye {{ name | line }}\n")
    assert hello(kept, "three") == b"goodbye three\n"
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("data", [b"", b"j2", b"\0" * 100])
def test_a_file_that_was_cut_is_passed_over(kept: Path, data: bytes) -> None:
    hello(kept, "one")
    (file,) = kept.iterdir()
    for end in (data, file.read_bytes()[:-10]):
        file.write_bytes(end)
        assert hello(kept, "two") == b"hello two\n"


def test_a_full_disk_keeps_nothing_from_being_rendered(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jinja2.FileSystemBytecodeCache, "dump_bytecode", full)
    assert hello(kept, "one") == b"hello one\n"


def test_where_nobody_made_the_directory_nothing_is_kept(kept: Path) -> None:
    kept.rmdir()
    assert hello(kept, "one") == b"hello one\n"
    assert not kept.exists()


def test_other_templates_are_not_kept(kept: Path, tmp_path: Path) -> None:
    """Those of the manual pages, when a package is built on a host where one is installed."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.j2").write_text("x")
    templating._environment.cache_clear()
    assert templating.render(tmp_path / "other", "x.j2") == b"x"
    assert list(kept.iterdir()) == []

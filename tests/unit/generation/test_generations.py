"""The store of generations: whole or not there, each file of one part and theirs who need it, as many as are needed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base import files
from secreg_host.base.errors import SecregError
from secreg_host.formats import nginxconf
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import KEPT, Generation
from secreg_host.host.host import Host
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made


def generation(copies: dict[str, bytes], rendered: dict[str, bytes] | None = None) -> Generation:
    """One of this host's own pair, in which nginx reads `copies`."""
    pair = made.certificate({certificate.CRT: b"crt", certificate.KEY: b"key", certificate.CA: b"ours"})
    nginx = NginxPart(files={"front/nginx.conf": b"conf", **copies})
    return Generation(made.parts(pair, RegistryPart(root=None), nginx), "a", rendered or {})


@pytest.mark.parametrize("data", [b"ours", b"ours and theirs"], ids=["the same bytes", "others"])
def test_what_nginx_conf_calls_ca_crt_stands_beside_the_ca_that_is_served(host: Host, data: bytes) -> None:
    host.paths.generations.mkdir(parents=True)
    staged = generation({"front/ca.crt": data})
    generations.stage(host, staged, assemble.generation_conf(staged))
    found = generations.load(host, staged.name)
    assert found is not None and found.parts == staged.parts
    assert found.files["front/ca.crt"] == data and found.parts[certificate.CertificatePart].ca == b"ours"


@pytest.mark.parametrize(
    ("path", "rendered"),
    [(certificate.CRT, ""), (certificate.CA, ""), ("registry/slot-a", "registry/slot-a"), (generations.EXTRA[0], "")],
)
@pytest.mark.parametrize("data", [b"crt", b"other"])
def test_no_two_parts_have_a_file_of_one_path(host: Host, path: str, rendered: str, data: bytes) -> None:
    """Not even with the same bytes: what is left of the other is found damaged."""
    host.paths.generations.mkdir(parents=True)
    staged = generation({path: data}, {rendered: b""} if rendered else {})
    with pytest.raises(SecregError, match=f"have a file {path}"):
        generations.stage(host, staged, {generations.EXTRA[0]: b"answer"})
    assert list(host.paths.generations.iterdir()) == []


def test_the_names_of_our_own_files_are_kept_from_nginx_conf() -> None:
    """Whatever is generated, or of another part, stands where nothing that nginx.conf names is copied to."""
    pair = (certificate.CRT, certificate.KEY, certificate.CA)
    for path in (*pair, *generations.EXTRA, *assemble.generation_conf(generation({}))):
        assert path.split("/")[1] in nginxconf.OURS, path


def test_the_ca_of_a_generation_of_the_first_version_moves_into_the_next_one(host: Host) -> None:
    """As long as the pair of /etc is broken, 0.1's stays, beside an nginx.conf that names ca.crt."""
    old = made.certificate({certificate.CRT: b"crt", certificate.KEY: b"key", "front/ca.crt": b"ours"})
    assert old.ca == b"ours"
    parts = generation({"front/ca.crt": b"theirs"}).parts.having(old)
    new = assemble.assemble(host, parts, assemble.NO_SLOT)
    assert (new.files["front/ca.crt"], new.files[certificate.CA]) == (b"theirs", b"ours")


RENDERED = {"auth/nginx.conf": b"auth", "front/secure-registry/http.conf": b"front", "registry/slot-a": b""}


def made_of(conf: str = "# one", **given: object) -> Generation:
    return Generation(made.parts(made.nginx(conf, **given)), "a", RENDERED)


def staged(host: Host, one: Generation) -> Path:
    return generations.stage(host, one, {"front/generation.conf": b"x"})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_staged_is_loaded(host: Host) -> None:
    one = made_of()
    directory = staged(host, one)
    found = generations.load(host, one.name)
    assert found is not None and directory.name == one.name
    assert (found.parts, found.slot, found.rendered, found.name) == (one.parts, "a", RENDERED, one.name)
    assert (found.front, found.manifest) == (one.front, one.manifest)
    assert not found.differs(one, "") and found.differs(made_of("# two"), "front/")
    assert not found.differs(made_of("# two"), "auth/") and found.differs(None, "auth/")


def test_the_name_is_what_it_is(host: Host) -> None:
    """Each byte of it, and nothing else."""
    every = {
        made_of().name,
        made_of("# two").name,
        made_of("# tvo").name,
        replace(made_of(), slot="b").name,
    }
    every.add(replace(made_of(), rendered={**RENDERED, "auth/nginx.conf": b"auto"}).name)
    assert len(every) == 5 and made_of().name in every


def test_the_front_s_name_is_what_nginx_reads() -> None:
    """Also files elsewhere; not what only others read."""
    one = made_of()
    other = replace(one, rendered={**RENDERED, "auth/nginx.conf": b"other"})
    assert one.front == other.front and one.name != other.name
    assert len({one.front, made_of("# two").front, made_of(outside={"/etc/mime.types": "a digest"}).front}) == 3


def test_nobody_reads_what_is_not_his(host: Host) -> None:
    """Everybody may go through the directory of generations, to what he knows the name of; nobody may list it."""
    one = made_of()
    directory = staged(host, one)
    assert (mode(directory.parent), mode(directory), mode(directory / "front")) == (0o711, 0o711, 0o750)
    modes = {mode(path) for path in directory.rglob("*") if path.is_file()}
    assert modes == {0o400}
    assert {mode(path) for path in directory.rglob("*") if path.is_dir()} == {0o750}


def test_nobody_enters_a_directory_of_the_program_s_own(host: Host) -> None:
    one = Generation(made.parts(), "a", {**RENDERED, "own/secret": b"x"})
    assert mode(staged(host, one) / "own") == 0o700


def test_it_has_its_name_when_it_is_on_disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[str]()
    monkeypatch.setattr(files, "sync_directory", lambda path: synced.append(f"{path.name} {len(list(path.iterdir()))}"))
    staged(host, made_of())
    folders, (last,) = synced[:-1], synced[-1:]
    assert last == "generations 1" and folders[0].startswith(".stage-"), "what is in it comes first"
    assert [name.partition(" ")[0] for name in sorted(folders[1:])] == ["auth", "front", "registry", "secure-registry"]


def test_half_of_one_is_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    create = files.create

    def full(path: Path, *given: object, **how: object) -> None:
        if path.name == "slot-a":
            raise SecregError("no space left")
        create(path, *given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "create", full)
    with pytest.raises(SecregError):
        staged(host, made_of())
    assert list(host.paths.generations.iterdir()) == []


@pytest.mark.parametrize("name", ["front/nginx.conf", "auth/nginx.conf", "generation.json"])
def test_what_is_damaged_is_none_and_is_written_anew(host: Host, name: str) -> None:
    one = made_of()
    path = staged(host, one) / name
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    assert generations.load(host, one.name) is None
    staged(host, one)
    assert generations.load(host, one.name) is not None and path.read_bytes() != b"damaged"


def test_what_is_there_is_left_as_it_is(host: Host) -> None:
    one = made_of()
    before = staged(host, one).stat().st_ino
    assert staged(host, one).stat().st_ino == before


def test_only_what_is_whole_becomes_current(host: Host) -> None:
    with pytest.raises(SecregError, match="not complete"):
        generations.flip(host, "absent")
    one = made_of()
    staged(host, one)
    generations.flip(host, one.name)
    generations.mark_proven(host, one.name)
    assert generations.current_name(host) == generations.proven_name(host) == one.name
    generations.flip(host, None)
    assert (generations.current_name(host), generations.proven_name(host)) == (None, one.name)


def test_the_newest_stay_and_those_that_count(host: Host) -> None:
    names = list[str]()
    for number in range(KEPT + 4):
        one = made_of(f"# {number}")
        os.utime(staged(host, one), (number, number))
        names.append(one.name)
    generations.flip(host, names[1])
    generations.mark_proven(host, names[0])
    (host.paths.generations / ".stage-killed").mkdir()
    generations.prune(host)
    left = {path.name for path in host.paths.generations.iterdir()}
    assert left == {names[0], names[1], *names[-(KEPT - 1) :]}


def test_nothing_there_is_nothing_to_remove(host: Host) -> None:
    generations.prune(host)
    assert generations.load(host, None) is None and generations.load(host, "absent") is None

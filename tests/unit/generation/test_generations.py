"""The store of generations: each file is of one part, and what was staged is found again, whole."""

from __future__ import annotations

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.formats import nginxconf
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made


def generation(copies: dict[str, bytes], rendered: dict[str, bytes] | None = None) -> Generation:
    """One of this host's own pair, in which nginx reads `copies`."""
    pair = made.certificate({certificate.CRT: b"crt", certificate.KEY: b"key", certificate.CA: b"ours"})
    nginx = NginxPart(files={"front/nginx.conf": b"conf", **copies})
    return Generation(Parts(made.settings(), pair, RegistryPart(root=None), nginx), "a", rendered or {})


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

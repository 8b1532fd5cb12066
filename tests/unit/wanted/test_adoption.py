"""What the environment sets is in secure-registry.conf afterwards, whoever edited that, or it is refused."""

from __future__ import annotations

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import envfile
from secreg_host.host.host import Host
from secreg_host.wanted import adoption, defaults
from secreg_host.wanted.parts import settings as settings_part

EDITED = "# mine\nPORT=8443\n#SERVER_NAME=registry.example.org\nO='My Corp'  \n"


def adopt(host: Host, **environment: str) -> str:
    """secure-registry.conf after that; every setting in it is what was set, and none is refused."""
    disk = Snapshot(host.paths)
    adoption.adopt(host, disk, environment)
    settings_part.read(disk, environment)
    return host.paths.conf.read_text()


@pytest.fixture
def edited(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text(EDITED)
    host.paths.conf.chmod(0o600)
    return host


@pytest.mark.promise("environment-lasts")
@pytest.mark.parametrize(
    ("environment", "after"),
    [
        ({"PORT": "8443"}, EDITED),
        ({"PORT": "9443"}, EDITED.replace("8443", "9443")),
        ({"SERVER_NAME": "a b"}, EDITED.replace("example.org\n", 'example.org\nSERVER_NAME="a b"\n')),
        ({"O": "Void"}, EDITED.replace("'My Corp'  ", "Void")),
        ({"L": "Here"}, f"{EDITED}L=Here\n"),
        ({"PASSWORD": "secret", "OTHER": "x", "C": ""}, EDITED),
    ],
)
def test_an_edited_file_is_edited(edited: Host, environment: dict[str, str], after: str) -> None:
    """Seen: "differs from", exit code 3; or it counted until the next edit, and was forgotten."""
    assert adopt(edited, **environment) == after
    assert edited.paths.conf.stat().st_mode & 0o777 == 0o600
    assert not Snapshot(edited.paths).ledger.knows(edited.paths.conf), "it stays the administrator's"


def test_a_password_in_the_file_is_replaced_there(edited: Host) -> None:
    edited.paths.conf.write_text("PASSWORD=old\nOPTS=-B\n")
    assert adopt(edited, PASSWORD="new", OPT="-5") == "PASSWORD=new\nOPTS=-5\n"


def test_one_of_ours_is_rendered_anew(host: Host) -> None:
    disk = Snapshot(host.paths)
    disk.write([defaults.render_conf(host, {})])
    text = adopt(host, PORT="9443")
    assert "\nPORT=9443\n" in text and "\n#SERVER_NAME=" in text
    assert Snapshot(host.paths).ledger.untouched(host.paths.conf, text.encode()), "it goes on following new versions"


def test_a_link_is_left_and_told(edited: Host) -> None:
    edited.paths.conf.rename(edited.paths.etc / "elsewhere")
    edited.paths.conf.symlink_to("elsewhere")
    adoption.asked(Snapshot(edited.paths), {"PORT": "8443"})
    with pytest.raises(BadInput, match="is a link"):
        adoption.asked(Snapshot(edited.paths), {"PORT": "9443"})


@pytest.mark.promise("empty-values")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT": "x"}, "^environment variable PORT: not a whole number"),
        ({"SERVER_NAME": "a/b", "PASSWORD": "fool"}, "^environment variable SERVER_NAME: not a host name"),
        ({"REGISTRY_HOST": "no.such.invalid"}, "^environment variable REGISTRY_HOST: nothing knows"),
        ({"PORT": ""}, r"^environment variable PORT: it is empty, and set in .*/secure-registry.conf:2\n"),
    ],
)
def test_bad_values_change_nothing(edited: Host, environment: dict[str, str], said: str) -> None:
    """Seen: a REGISTRY_HOST that nothing knows was written, and held back all that came later; "PORT: PORT:"."""
    with pytest.raises(BadInput, match=said):
        adopt(edited, **environment)
    assert edited.paths.conf.read_text() == EDITED


@pytest.mark.parametrize("bad", ["nonsense line\n", "PORT=x\n", "REGISTRY_HOST=no.such.invalid\n"])
@pytest.mark.parametrize("environment", [{"SERVER_NAME": "a.example"}, {"USERNAME": "lost", "PASSWORD": "lost1"}])
def test_a_file_that_is_bad_takes_nothing_over(host: Host, bad: str, environment: dict[str, str]) -> None:
    """Seen: of USERNAME and PASSWORD, the name was written and the password was lost, without a word."""
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text(f"O=Mine\n{bad}")
    with pytest.raises(BadInput, match=r"^[^ ]*/secure-registry.conf:2: "):
        adopt(host, **environment)
    assert host.paths.conf.read_text() == f"O=Mine\n{bad}"
    assert adoption.asked(Snapshot(host.paths), {"O": "Mine", "C": "", "HOME": "/"}) is None, "it asks for nothing"


def test_an_empty_file_takes_it_over(host: Host) -> None:
    """Seen: it counted until the next apply, and stood nowhere."""
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text("")
    assert adopt(host, PORT="9443") == "PORT=9443\n"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_setting_reads_back(ending: str) -> None:
    text = f"A=1{ending}" if ending != "" else "A=1"
    for key, value in (("A", "2 3"), ("B", 'a"b')):
        new = envfile.setting(text, key, value)
        found = {one.key: one.value for one in envfile.parse(new, "")[0]}
        assert found == {"A": "1", key: value}
        assert new.count("\r\n") == new.count("\n") or "\r" not in new


def test_a_value_of_several_lines_is_replaced_whole() -> None:
    text = "A=1 \\\n 2\nB='x\ny'\nC=3\n"
    assert envfile.setting(text, "A", "9") == "A=9\nB='x\ny'\nC=3\n"
    assert envfile.setting(text, "B", "9") == "A=1 \\\n 2\nB=9\nC=3\n"

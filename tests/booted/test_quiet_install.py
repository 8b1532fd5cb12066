"""packaging/quiet-install, with real apt and dpkg: no service starts while it installs, and nothing of it stays.

The packages that are installed have an old-style service and ask invoke-rc.d to start it when they are configured; then
they wait for a word, so that there is time for a signal.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.bare import BareTree

pytestmark = pytest.mark.one_release(0)

POLICY = "/usr/sbin/policy-rc.d"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

PACKAGE = """
    mkdir -p /srv/NAME/DEBIAN /srv/NAME/etc/init.d /srv/NAME/etc/rc2.d
    ln -s ../init.d/NAME /srv/NAME/etc/rc2.d/S01NAME
    cat > /srv/NAME/DEBIAN/control <<'END'
    Package: NAME
    Version: 1
    Architecture: all
    Maintainer: nobody <nobody@example.org>
    Description: a service
    END
    cat > /srv/NAME/etc/init.d/NAME <<'END'
    #!/bin/sh
    touch /run/NAME.started
    END
    cat > /srv/NAME/DEBIAN/postinst <<'END'
    #!/bin/sh
    invoke-rc.d NAME start || exit 1
    touch /run/NAME.asked
    if [ -p /run/NAME.go ]; then read word < /run/NAME.go; fi
    END
    chmod 755 /srv/NAME/DEBIAN/postinst /srv/NAME/etc/init.d/NAME
    dpkg-deb --root-owner-group -b /srv/NAME /srv/NAME.deb
"""


class Installing:
    """`quiet-install` of packages of ours, under way in `bare`."""

    def __init__(self, bare: BareTree, *names: str) -> None:
        self.bare = bare
        argv = [f"/srv/{name}.deb" for name in names]
        pid, self._said = (f"/run/{names[0]}.{suffix}" for suffix in ("pid", "said"))
        script = f'echo "$$" > {pid}; exec /root/packaging/quiet-install "$@" > {self._said} 2>&1'
        self.process = subprocess.Popen(
            bare.command("env", "--default-signal", "sh", "-c", script, "-", *argv),  # whatever nohup(1) left
            stdin=subprocess.DEVNULL,
        )
        self.pid = bare.wait_for("its number", lambda: bare.run("cat", pid, check=False).stdout.strip())

    def send(self, number: signal.Signals) -> None:
        self.bare.run("sh", "-c", f"kill -{number.value} {self.pid}")

    def said(self) -> str:
        return self.bare.read(self._said)

    def wait_until_it_waits(self) -> None:
        self.bare.wait_for("its word", lambda: self.said() == "waiting for the end of another installation\n")

    def end(self, timeout: float = 60) -> tuple[int, str]:
        """Wait for its end; its exit code and what it said."""
        return self.process.wait(timeout), self.said()


class Bench:
    """A bare tree with two packages to install; `held` ones wait when they are configured until `go`."""

    def __init__(self, bare: BareTree) -> None:
        self.bare = bare
        self.shell("mkdir /run/apt; mv /etc/apt/sources.list* /run/apt/")  # what is installed comes from here
        # without an init and its runlevel invoke-rc.d starts nothing
        self.shell("ln -s /bin/true /sbin/init; ln -s /usr/local/sbin/runlevel /sbin/runlevel")
        bare.write("/usr/local/sbin/runlevel", "#!/bin/sh\necho N 2\n", 0o755)
        for name in ("one", "two"):
            self.shell(textwrap.dedent(PACKAGE.replace("NAME", name)))

    def shell(self, script: str) -> str:
        return self.bare.run("bash", "-e", "-c", script).stdout

    def clear(self) -> None:
        self.shell("dpkg --purge --force-all one two > /dev/null 2>&1 || true")
        self.shell(f"rm -rf {POLICY} /run/{{one,two}}.* /tmp/* /etc/apt/sources.list")

    def hold(self, name: str) -> None:
        self.shell(f"mkfifo /run/{name}.go")

    def asked(self, name: str) -> bool:
        return self.bare.exists(f"/run/{name}.asked")

    def wait_until_asked(self, name: str) -> None:
        self.bare.wait_for(f"{name} to be configured", lambda: self.asked(name))

    def go(self, name: str) -> None:
        self.shell(f"echo > /run/{name}.go")

    def started(self, name: str) -> bool:
        return self.bare.exists(f"/run/{name}.started")

    def may_start(self, name: str) -> bool:
        """Whether a service of the host that starts now does."""
        self.bare.run("invoke-rc.d", name, "start", check=False)
        return self.started(name)

    def wait_for_apt(self) -> None:
        """Until an apt-get that lost its parent has ended, too."""
        names = "grep -lx apt-get /proc/[0-9]*/comm 2> /dev/null || true"
        self.bare.wait_for("the end of apt", lambda: not self.shell(names))

    def left(self) -> str:
        """What is in the places where something could be left."""
        return self.shell(f"ls -d {POLICY}* /tmp/* /var/tmp/* /run/lock/* 2> /dev/null || true")


@pytest.fixture(scope="module")
def prepared(release: str) -> Iterator[Bench]:
    with BareTree(release) as bare:
        bare.copy_in(Path(__file__).resolve().parents[2] / "packaging", "/root/packaging")
        yield Bench(bare)


@pytest.fixture
def bench(prepared: Bench) -> Iterator[Bench]:
    prepared.clear()
    yield prepared


def test_no_service_starts_and_nothing_stays(bench: Bench) -> None:
    assert Installing(bench.bare, "one", "two").end() == (0, "")
    assert bench.asked("one") and bench.asked("two") and not bench.started("one") and not bench.started("two")
    assert bench.left() == ""
    assert bench.may_start("one")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_dpkg_works(bench: Bench, number: signal.Signals) -> None:
    """What dpkg has begun is ended first, and until then no service starts."""
    bench.hold("one")
    installing = Installing(bench.bare, "one")
    bench.wait_until_asked("one")
    installing.send(number)
    assert not bench.may_start("one")
    bench.go("one")
    code, said = installing.end()
    assert code == 128 + number.value and "as soon as dpkg" in said, said
    assert bench.left() == ""
    assert bench.shell("dpkg-query -W -f='${db:Status-Status}' one") == "installed"
    assert bench.may_start("one")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_a_mirror_does_not_answer(bench: Bench, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        bench.bare.write("/etc/apt/sources.list", f"deb http://127.0.0.1:{mirror.getsockname()[1]}/ x main\n")
        installing = Installing(bench.bare, "one")
        mirror.settimeout(30)
        connection, _ = mirror.accept()
        with connection:
            assert bench.bare.exists(POLICY)
            installing.send(number)
            assert installing.end(timeout=20)[0] == 128 + number.value
    assert bench.left() == "" and not bench.asked("one")


def test_killed(bench: Bench) -> None:
    """What is left holds as long as its apt goes on; then everything starts, and it is gone."""
    bench.hold("one")
    installing = Installing(bench.bare, "one")
    bench.wait_until_asked("one")
    installing.send(signal.SIGKILL)
    installing.end()
    assert not bench.may_start("one")
    bench.go("one")
    bench.wait_for_apt()
    assert bench.bare.exists(POLICY)
    assert bench.may_start("one")
    assert bench.left() == ""


@pytest.mark.parametrize("what", ["whole", "empty"])
def test_one_that_was_left_is_replaced(bench: Bench, what: str) -> None:
    """Also one that was killed before it was written."""
    if what == "empty":
        bench.shell(f"umask 077; : > {POLICY}")
    else:
        bench.hold("one")
        installing = Installing(bench.bare, "one")
        bench.wait_until_asked("one")
        installing.send(signal.SIGKILL)
        installing.end()
        bench.go("one")
        bench.wait_for_apt()
        assert bench.bare.exists(POLICY)
    assert Installing(bench.bare, "two").end() == (0, "")
    assert bench.asked("two") and not bench.started("two")
    assert bench.left() == ""


@pytest.mark.parametrize("starts", [True, False])
def test_the_administrators_own_is_obeyed_and_kept(bench: Bench, starts: bool) -> None:
    bench.bare.write(POLICY, f"#!/bin/sh\nexit {0 if starts else 101}\n", 0o755)
    before = bench.shell(f"cat {POLICY}; stat -c '%i %a %Y' {POLICY}")
    assert Installing(bench.bare, "one").end() == (0, "")
    assert bench.started("one") is starts
    assert bench.shell(f"cat {POLICY}; stat -c '%i %a %Y' {POLICY}") == before


def test_the_administrators_link_is_kept(bench: Bench) -> None:
    bench.shell(f"ln -s /nowhere {POLICY}")
    assert Installing(bench.bare, "one").end() == (0, "")
    assert bench.shell(f"readlink {POLICY}") == "/nowhere\n" and bench.started("one")
    assert not bench.bare.exists("/nowhere")


def test_one_that_the_administrator_writes_meanwhile_is_kept(bench: Bench) -> None:
    bench.hold("one")
    installing = Installing(bench.bare, "one")
    bench.wait_until_asked("one")
    bench.shell(f"rm {POLICY}; echo '# mine' > {POLICY}")
    bench.go("one")
    assert installing.end() == (0, "")
    assert bench.shell(f"cat {POLICY}") == "# mine\n"


def test_two_at_the_same_time(bench: Bench) -> None:
    """The second waits, and no service of either starts."""
    bench.hold("one")
    first = Installing(bench.bare, "one")
    bench.wait_until_asked("one")
    second = Installing(bench.bare, "two")
    second.wait_until_it_waits()
    bench.hold("two")
    bench.go("one")
    assert first.end() == (0, "")
    bench.wait_until_asked("two")
    assert not bench.may_start("one") and not bench.may_start("two")
    bench.go("two")
    assert second.end()[0] == 0
    assert bench.left() == ""


def test_two_where_the_first_is_killed(bench: Bench) -> None:
    bench.hold("one")
    first = Installing(bench.bare, "one")
    bench.wait_until_asked("one")
    second = Installing(bench.bare, "two")
    second.wait_until_it_waits()
    first.send(signal.SIGKILL)
    first.end()
    bench.go("one")
    assert second.end()[0] == 0
    assert bench.asked("two") and not bench.started("two")
    assert bench.left() == ""


def test_what_cannot_be_installed(bench: Bench) -> None:
    done = bench.bare.run("/root/packaging/quiet-install", "no-such-package", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "E: Unable to locate package no-such-package" in done.stderr, "apt's own words"
    assert done.stderr.splitlines()[-2] == "not installed: no-such-package"
    assert "mend that" in done.stderr.splitlines()[-1]
    assert bench.left() == ""


def test_root_is_needed(bench: Bench) -> None:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/srv/quiet-install", "one"]
    bench.shell("cp /root/packaging/quiet-install /srv")
    done = bench.bare.run(*argv, check=False)
    assert (done.returncode, done.stderr) == (1, "this installs one: run it as root\n")

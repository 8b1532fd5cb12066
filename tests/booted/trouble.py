"""Trouble among the edits of chaos.py: a pipe in a file's place, full disks, odd certificates, a restart right after an
edit, a file system mounted upon the directory; and users that change meanwhile."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests import der
from tests.booted.chaos import HASH, Chaos
from tests.booted.obstacles import FILL, GROW_RUN, LIB, SHRINK_RUN
from tests.booted.registry import ETC

EVERY = 4
"""Each how many edits is one of these."""

SMALL = f"""
systemctl stop secure-registry
for dir in {LIB}/generations {LIB}/state; do
    cp -a $dir /root/copy
    mount -t tmpfs -o size=16m small $dir
    chmod --reference=/root/copy $dir
    cp -a /root/copy/. $dir/
    rm -r /root/copy
done
systemctl start secure-registry
"""
"""Puts what a change needs room for on file systems that are soon full."""

FULL = {
    "generations": (FILL.format(f"{LIB}/generations"), f"rm {LIB}/generations/fill"),
    "state": (FILL.format(f"{LIB}/state"), f"rm {LIB}/state/fill"),
    "/run": (f"{SHRINK_RUN}\n{FILL.format('/run')}", f"{GROW_RUN}; rm /run/fill"),
}
RESTART_SECONDS = 60.0
"""How long a restart may take: what runs is waited for. How long it did take is printed."""

ODD = {
    "version 4": {"version": der.VERSIONS[1]},
    "two alternative names": {"extensions": (der.EXTENSIONS[0],) * 2},
    "PSS without parameters": {"algorithm": der.ALGORITHMS[1], "outer": der.ALGORITHMS[1]},
    "PSS with odd parameters": {"algorithm": der.ALGORITHMS[4], "outer": der.ALGORITHMS[4]},
    "a name that is no text": {"subject": der.SUBJECTS[3]},
    "an empty serial number": {"serial": der.SERIALS[4]},
    "times that are none": {"ends": der.TIMES[5]},
}


@dataclass
class Trouble:
    """Trouble for one `chaos`."""

    chaos: Chaos

    def step(self, number: int) -> str:
        """Number `number` of these, one kind after the other."""
        kinds: list[Callable[[int], str]] = [self.pipe, self.full, self.certificate, self.restart, self.covered]
        return kinds[number // EVERY % len(kinds)](number)

    def other_users(self, number: int) -> None:
        """Replace .htpasswd: the last guest must be out, another one in."""
        users = self.chaos.users
        text = users.good(number)
        self.chaos.change_users(self.chaos.saving(users.name, text, "rename", 0.0, number), number, whole=True)
        users.version, users.text = number, text

    def pipe(self, number: int) -> str:
        """A FIFO in the place of a file."""
        chaos = self.chaos
        name = chaos.seed.choice([*chaos.texts, "docker-registry.crt", "docker-registry.key"])
        path, began = f"{ETC}/{name}", time.time()
        chaos.run(f"test ! -e {path} || mv {path} {path}.away; mkfifo {path}")
        if name == chaos.users.name:
            chaos.until("a pipe of users: nobody is let in", lambda: chaos.status_of(chaos.login) == "401")
        else:
            chaos.until(f"a pipe, {name}: is told", lambda: name in chaos.held())
            self.other_users(number)
        chaos.run(f"rm {path}; test ! -e {path}.away || mv {path}.away {path}")
        chaos.settle()
        chaos.until("the user is back", lambda: chaos.status_of(chaos.login) == "200")
        if name == chaos.users.name:
            chaos.lockouts.append((began, time.time()))
        return f"a pipe in place of {name}"

    def full(self, number: int) -> str:
        """No room for what a change has to write: users change all the same, all else once there is room."""
        chaos, subject = self.chaos, self.chaos.subjects[0]
        where = chaos.seed.choice([*FULL, "all"])
        fills, frees = zip(*(FULL.values() if where == "all" else [FULL[where]]), strict=True)
        chaos.run("\n".join(fills))
        self.other_users(number)
        text = subject.good(number)
        chaos.run(chaos.saving(subject.name, text, "rename", 0.0, number))
        chaos.good.add(f"v{number}")
        chaos.run("; ".join(frees))
        subject.version, subject.text = number, text
        chaos.until("what was saved to a full disk: serves", lambda: chaos.serves(subject))
        chaos.settle()
        return f"full: {where}"

    def certificate(self, number: int) -> str:
        """A certificate that some take and some do not, with its key. It is told; or it serves, if nginx takes it."""
        chaos = self.chaos
        pair, kind = chaos.seed.choice(chaos.pairs), chaos.seed.choice([*ODD, "noise", "cut short"])
        public = chaos.registry.machine.run(
            "openssl", "x509", "-noout", "-pubkey", "-in", f"{pair}/docker-registry.crt"
        )
        key = base64.b64decode("".join(public.stdout.splitlines()[1:-1]))
        whole = der.certificate(key, **ODD.get(kind, {}))  # type: ignore[arg-type]
        data = {"noise": chaos.seed.randbytes(700), "cut short": whole[:-20]}.get(kind, whole)
        odd = hashlib.sha256(data).hexdigest()
        if kind in ODD:
            chaos.good.add(odd)
        chaos.registry.machine.write("/root/odd.crt", der.pem(data).decode())
        crt, new = f"{ETC}/docker-registry.crt", f"{ETC}/docker-registry.key"
        chaos.run(f"cat {pair}/docker-registry.key > {new}; cat /root/odd.crt > {crt}")
        chaos.until(
            f"{kind}: is told", lambda: chaos.held("certificate") or (kind in ODD and chaos.fingerprint() == odd)
        )
        held = bool(chaos.held("certificate"))
        if held:
            self.other_users(number)
        chaos.run(f"cat {pair}/docker-registry.crt > {crt}")
        chaos.until("a whole pair: serves", lambda: chaos.fingerprint() == chaos.prints[pair])
        chaos.until("a whole pair: nothing held back", lambda: not chaos.held("certificate"))
        return f"a certificate, {kind}, {'held back' if held else 'taken'}"

    def restart(self, number: int) -> str:
        """`systemctl restart` right after an edit: a good one counts, else what was proven goes on; users who were
        removed are out when it returns."""
        chaos, machine = self.chaos, self.chaos.registry.machine
        subject, pause = chaos.seed.choice(chaos.subjects[:3]), chaos.seed.choice([0.0, 0.2, 0.6])
        guest, text, bad = chaos.users.version, subject.good(number), ""
        if subject is not chaos.users and chaos.seed.random() < 0.4:
            bad = chaos.seed.choice([one for make in subject.bad if (one := make(text))])
        missing = [one for one in chaos.subjects if one is not subject and not machine.exists(f"{ETC}/{one.name}")]
        saved = chaos.saving(subject.name, bad or text, chaos.seed.choice(["in place", "rename"]), 0.0, number)
        began = time.time()
        machine.run("sh", "-ec", f"{saved}; sleep {pause}; systemctl restart secure-registry", timeout=RESTART_SECONDS)
        took = time.time() - began
        chaos.outages.append((began, time.time()))
        for absent in missing:  # a start makes it anew
            absent.version, absent.text = 0, chaos.texts[absent.name]
        if not bad:
            chaos.good.add(f"v{number}")
            subject.version, subject.text = number, text
        if subject is chaos.users and guest:
            assert chaos.status_of(f"guest{guest}:chaos") == "401", "a removed user is still in after a restart"
        assert chaos.status_of(chaos.login) == "200"
        assert chaos.serves(subject), f"{subject.name} does not serve as it was after a restart"
        chaos.until("a restart: held back or not", lambda: (subject.name in chaos.held()) == bool(bad))
        return f"{subject.name}, {'bad' if bad else 'good'}, after {pause} s a restart, which took {took:.1f} s"

    def covered(self, number: int) -> str:
        """A file system mounted upon the directory, of which no event of a file tells, and away again."""
        chaos, guest = self.chaos, f"guest{number}:chaos"
        began, with_users = time.time(), chaos.seed.random() < 0.7
        chaos.run(f"mount -t tmpfs upon {ETC}")
        if with_users:
            chaos.until("nobody is let in", lambda: chaos.status_of(chaos.login) == "401")
            chaos.registry.put(chaos.users.name, f"guest{number}:{HASH}\n")
            chaos.until("a user of what is mounted", lambda: chaos.status_of(guest) == "200")
            assert chaos.status_of(chaos.login) == "401"
        chaos.run(f"umount {ETC}")
        chaos.until("the user is back", lambda: chaos.status_of(chaos.login) == "200")
        assert chaos.status_of(guest) == "401"
        chaos.settle()
        chaos.lockouts.append((began, time.time()))
        return f"a file system upon the directory, {'with users' if with_users else 'away at once'}"

"""Edits drawn at random: good, bad, half-written, partial, of every file, by every way of saving; the same by seed.

Each file is a `Subject`: how version N of it looks, and what can be wrong with it. Every edit has a number of its own,
and what it writes shows that number to clients if it ever serves: so the clients can tell that a bad one never did.
"""

from __future__ import annotations

import json
import random
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.booted.registry import ETC, Registry

SAVES = {
    "in place": "cat {new} > {path}",
    "in pieces": "head -c 100 {new} > {path}; sleep {pause}; tail -c +101 {new} >> {path}",
    "rename": "cp {new} {path}.tmp; mv {path}.tmp {path}",
    "remove and create": "rm -f {path}; sleep {pause}; cat {new} > {path}",
    "old time": "touch -d 2001-01-01 {new}; cp -a {new} {path}.tmp; mv {path}.tmp {path}",
    "link": "cp {new} {new}.target; ln -sfn {new}.target {path}.l; mv -T {path}.l {path}",
    "sed -i": "cat {new} > {path}; sed -i s/x/x/ {path}",
    "directory": "cp -a {etc}/. {etc}.tmp; rm -f {tmp}; cp {new} {tmp}; mv {etc} {etc}.old; mv {etc}.tmp {etc}; "
    "rm -rf {etc}.old",
    "link to a directory": "cp -a {etc}/. /srv/{number}; rm -f /srv/{number}/{name}; cp {new} /srv/{number}/{name}; "
    "ln -s /srv/{number} {etc}.l; mv {etc} {etc}.old; mv -T {etc}.l {etc}; rm -rf {etc}.old",
}
WHOLE = ("in place", "rename", "old time", "link", "sed -i")
"""Those that never leave less than a whole file (which of .htpasswd is a shorter one, and counts)."""

HASH = "{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE="
"""Of the password of each guest, "chaos"."""

REMOVED = """
import base64, http.client, ssl, subprocess, sys, time
script, user = sys.argv[1:]
context = ssl._create_unverified_context()
headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
def let_in():
    link = http.client.HTTPSConnection("localhost", context=context, timeout=20)
    link.request("GET", "/v2/", headers=headers)
    status = link.getresponse().status
    link.close()
    return status == 200
begun = time.monotonic()
while not let_in():  # the password check was killed a moment ago, perhaps
    assert time.monotonic() < begun + 10, "who is to be removed was not there"
    time.sleep(0.02)
subprocess.run(["sh", "-c", script], check=True)
saved = last = time.monotonic()
while let_in() and last < saved + 30:
    last = time.monotonic()
    time.sleep(0.01)
print(last - saved)
"""
"""Runs on the host: saves .htpasswd and prints how many seconds the removed user was still let in.

Until the last answer that let him in: the one that does not is held back for as long as others tried wrong passwords.
"""

SETTLED = """
import sys
sys.path.insert(0, "/usr/share/secure-registry")
from secreg_host.base import records
from secreg_host.wanted import sources
from secreg_host.base.paths import Paths
report = records.load(Paths().report, records.REPORT)
sys.exit(report["fingerprint"] != sources.fingerprint(Paths(), report["sources"]))
"""
"""Runs on the host: succeeds when the last apply saw the files as they are."""


@dataclass
class Subject:
    """A file. good: the text of version N; bad: makes one that must never serve of a good one (None: no file)."""

    name: str
    good: Callable[[int], str]
    bad: list[Callable[[str], str | None]]
    version: int = 0
    text: str = ""
    seen: bool = True
    """Whether clients see which version serves."""


@dataclass
class Chaos:
    """The files of one registry and the dice.

    pairs: directories on the host, each with a certificate and its key; prints: their SHA-256; texts: the files as
    they were.
    """

    registry: Registry
    seed: random.Random
    pairs: list[str]
    prints: dict[str, str]
    texts: dict[str, str]
    subjects: list[Subject] = field(default_factory=list)
    removals: list[float] = field(default_factory=list)
    """How long each removed user was still let in, in seconds."""

    lockouts: list[tuple[float, float]] = field(default_factory=list)
    """From when until when .htpasswd was not there or not whole, so that 401 was the right answer."""

    outages: list[tuple[float, float]] = field(default_factory=list)
    """From when until when it was restarted, which clients may notice."""

    login: str = ""
    good: set[str] = field(default_factory=set)
    """Every version that may serve."""

    def __post_init__(self) -> None:
        nginx, yml, users = (self.texts[name] for name in ("nginx.conf", "docker-registry.yml", ".htpasswd"))
        cut = self.seed.randrange
        include = "include secure-registry/registry.conf;"
        self.subjects = [
            Subject(
                "nginx.conf",
                lambda n: nginx.replace(include, f"location = /chaos {{ return 200 v{n}; }} {include}"),
                [
                    lambda text: text.replace("server_name", "nonsense"),
                    lambda text: text[: cut(len(text) // 2)],
                    lambda text: text.replace(include, ""),
                    lambda text: text.replace(" ssl;", ";"),
                    lambda text: text.replace("docker-registry.crt", "none.crt"),
                    lambda text: text.replace("listen 443", "listen 192.0.2.1:443 ssl; listen 443"),  # not ours
                    lambda text: text + "}",
                    lambda text: "",
                    lambda text: None,
                ],
            ),
            Subject(
                "docker-registry.yml",
                lambda n: f"{yml}http:\n  headers:\n    X-Chaos: [v{n}]\n",
                [
                    lambda text: text + " x: [\n",
                    lambda text: text.replace("0.1", "9"),
                    lambda text: text[: cut(60)],
                    lambda text: text.replace("filesystem", "floppydisk"),
                    lambda text: text.replace("level: warn", "level: loud"),
                    lambda text: "",
                    lambda text: None,
                ],
            ),
            Subject(
                ".htpasswd",
                lambda n: f"{users}guest{n}:{HASH}\n",
                [
                    lambda text: f"{users}broken line\n",
                    lambda text: f"{users}x:$6$short\n",
                    lambda text: f"{users}guest:chaos\n",
                ],
            ),
            Subject(
                "secure-registry.conf",
                lambda n: f"{self.texts['secure-registry.conf']}# v{n}\n",
                [lambda text: text + "SEVER_NAME=x\n", lambda text: text + "CERT_DAYS=soon\n", lambda text: "=\n"],
                seen=False,
            ),
            Subject(
                "openssl.cnf",
                lambda n: f"{self.texts['openssl.cnf']}# v{n}\n",
                [lambda text: text + "[\n", lambda text: text.replace("IP.1", "IP.1 = 999.1.1.1\nIP.99"), lambda _: ""],
                seen=False,
            ),
        ]
        for subject in self.subjects:
            subject.text = self.texts[subject.name]
        self.login = f"docker:{self.registry.password}"
        self.good = {"", *self.prints.values()}
        self.users = next(subject for subject in self.subjects if subject.name == ".htpasswd")

    def step(self, number: int) -> str:
        """One edit, and the wait until what must come of it is seen; returns what was done."""
        kind = self.seed.choices(["file", "pair", "modes", "gone", "mounted"], [10, 3, 1, 2, 0.5])[0]
        if kind == "pair":
            return self.pair()
        if kind == "modes":
            return self.modes()
        if kind == "gone":
            return self.gone()
        if kind == "mounted":
            return self.mounted(number)
        subject = self.seed.choices(self.subjects, [4, 3, 6, 1, 1])[0]
        way, pause = self.seed.choice(list(SAVES)), self.seed.choice([0.01, 0.3])
        if self.seed.random() < 0.5:
            return self.break_it(subject, way, pause, number)
        text = subject.good(number)
        done = f"{subject.name}, good, {way}, {pause} s"
        script = self.saving(subject.name, text, way, pause, number)
        if subject is self.users:
            self.change_users(script, number, way in WHOLE)
        else:
            self.run(script)
        subject.version, subject.text = number, text
        self.good.add(f"v{number}")
        self.until(f"{done}: serves", lambda: self.serves(subject))
        self.until(f"{done}: nothing held back", lambda: subject.name not in self.held())
        return done

    def break_it(self, subject: Subject, way: str, pause: float, number: int) -> str:
        """Something bad: it is told; what clients see goes on (they would see `number`)."""
        bad = self.seed.choice(subject.bad)(subject.good(number))
        done = f"{subject.name}, bad ({'gone' if bad is None else f'{len(bad)} bytes'}), {way}, {pause} s"
        if bad is None:
            self.run(f"rm -f {ETC}/{subject.name}")
        elif subject is self.users:  # the good lines of it count
            self.change_users(self.saving(subject.name, bad, way, pause, number), 0, way in WHOLE)
            subject.version, subject.text = 0, self.texts[subject.name]
        else:
            self.run(self.saving(subject.name, bad, way, pause, number))
        self.until(f"{done}: is told", lambda: subject.name in self.held())
        if self.seed.random() < 0.5:  # else the next edit comes while this one is looked at
            self.settle()
        return done

    def change_users(self, script: str, number: int, whole: bool) -> None:
        """Save .htpasswd, in which the last guest is not any more."""
        began = time.time()
        if self.users.version:
            user = f"guest{self.users.version}:chaos"
            self.removals.append(float(self.registry.machine.run("python3", "-c", REMOVED, script, user).stdout))
        else:
            self.run(script)
        if number:
            self.until("the new guest", lambda: self.status_of(f"guest{number}:chaos") == "200")
        if not whole:
            self.settle()  # what was read of half a file serves for as long as it takes to read it all
        self.until("the user", lambda: self.status_of(self.login) == "200")
        if not whole:
            self.lockouts.append((began, time.time()))

    def pair(self) -> str:
        """A certificate and its key, at once or one after the other, or something that is no pair."""
        new = self.seed.choice(self.pairs)
        other = self.seed.choice([pair for pair in self.pairs if pair != new])
        crt, key = f"{ETC}/docker-registry.crt", f"{ETC}/docker-registry.key"
        bad = {
            "half a pair": f"cat {other}/docker-registry.crt > {crt}; cat {new}/docker-registry.key > {key}",
            "half a certificate": f"head -c 300 {new}/docker-registry.crt > {crt}",
            "half a key": f"head -c 80 {new}/docker-registry.key > {key}",
            "an empty key": f": > {key}",
            "no certificate": f"rm {crt}",
            "no key": f"rm {key}",
        }
        files = [f"cat {new}/docker-registry.{end} > {ETC}/docker-registry.{end}" for end in ("crt", "key")]
        if self.seed.random() < 0.5:
            files.reverse()
        pause = self.seed.choice([0, 0.2, 1.5])
        first = self.seed.choice(sorted(bad)) if self.seed.random() < 0.4 else ""
        if first:
            self.run(bad[first])
            self.until(f"{first}: is told", lambda: self.held("certificate"))
        self.run(f"; sleep {pause}; ".join(files))
        self.until("a pair: serves", lambda: self.fingerprint() == self.prints[new])
        self.until("a pair: nothing held back", lambda: not self.held("certificate"))
        return f"a pair, {pause} s, {first or 'good'}"

    def modes(self) -> str:
        """Other permissions and owners: root reads it all the same, so nothing changes."""
        name = self.seed.choice(["", *sorted(self.texts), "docker-registry.key", "docker-registry.crt"])
        how = self.seed.choice(["chmod 000", "chmod 640", "chmod 777", "chown nobody", "chown root"])
        self.settle()  # the edit before may still be looked at
        before = self.held()
        self.run(f"test ! -e {ETC}/{name} || {how} {ETC}/{name}")
        self.settle()
        assert self.held() == before
        self.run(f"chmod 755 {ETC}/; chown root {ETC}/")
        return f"/{name}: {how}"

    def gone(self) -> str:
        """Files, or the whole directory, are away for a while, or something else is in their place."""
        names = [".htpasswd", "secure-registry.conf", "openssl.cnf", "ca.crt"]
        name, pause = self.seed.choice(["", "", *names]), self.seed.choice([0.0, 0.3, 2.0])
        path = f"{ETC}/{name}".rstrip("/")
        how = self.seed.choice(
            [
                "mv {0} {0}.away",
                "cp -a {0} {0}.away; rm -rf {0}",
                "mv {0} {0}.away; ln -s /srv {0}",
                "mv {0} {0}.away; ln -s /nowhere {0}",
            ]
        )
        away, back = how.format(path), f"rm -rf {path}; mv {path}.away {path}"
        began = time.time()
        if name in ("", ".htpasswd") and pause == 2.0:
            self.run(away)
            self.until("nobody is let in", lambda: self.status_of(self.login) == "401")
            self.run(back)
        else:
            self.run(f"{away}; sleep {pause}; {back}")
        self.settle()
        self.until("the user is back", lambda: self.status_of(self.login) == "200")
        self.lockouts.append((began, time.time()))
        return f"/{name}: {how}, {pause} s"

    def mounted(self, number: int) -> str:
        """A bind mount over nginx.conf (no event tells of it: something else happens there)."""
        subject = self.subjects[0]
        target, text = f"/root/mounted-{number}", subject.good(number)
        self.registry.machine.write(target, text)
        self.run(f"touch {ETC}/{subject.name}; mount --bind {target} {ETC}/{subject.name}; touch {ETC}/.x; rm {ETC}/.x")
        subject.version, subject.text = number, text
        self.good.add(f"v{number}")
        self.until("a mount: serves", lambda: self.serves(subject))
        self.run(f"umount {ETC}/{subject.name}; cp {target} {ETC}/{subject.name}")
        return "a bind mount"

    # -- what there is to see -----------------------------------------------------------------------------------------

    def serves(self, subject: Subject) -> bool:
        """Whether clients get the newest good version."""
        want = f"v{subject.version}" if subject.version else ""
        if not subject.seen:
            return self.settled()
        if subject.name == "nginx.conf":
            said = self.registry.curl("/chaos").stdout.splitlines()
            return (said[0] if said[-1] == "200" else "") == want
        if subject.name == "docker-registry.yml":
            said = self.registry.curl("/v2/", "--include", user=self.login).stdout.lower().splitlines()
            return (f"x-chaos: {want}" if want else "200") in said
        return not subject.version or self.status_of(f"guest{subject.version}:chaos") == "200"

    def status_of(self, user: str) -> str:
        return self.registry.status_of("/v2/", user=user)

    def fingerprint(self) -> str:
        return self.registry.fingerprint().partition("=")[2].strip().replace(":", "").lower()

    def held(self, part: str = "") -> set[str]:
        """The files (of `part`) that are held back, as the last report has it."""
        report = json.loads(self.registry.machine.run("cat", "/var/lib/secure-registry/state/report.json").stdout)
        return {
            finding["problem"]["where"].partition(":")[0].rpartition("/")[2]
            for finding in report["findings"]
            if finding["kind"] != "warning" and part in ("", finding["part"])
        }

    def settled(self) -> bool:
        """Whether the last apply saw the files as they are now."""
        return self.registry.machine.run("python3", "-c", SETTLED, check=False).returncode == 0

    def settle(self) -> None:
        self.until("settled", self.settled)

    def until(self, what: str, check: Callable[[], object]) -> None:
        self.registry.machine.wait_for(what, check, timeout=25)  # less than the look every 30 s that would mend it

    # -- what is done -------------------------------------------------------------------------------------------------

    def saving(self, name: str, text: str, way: str, pause: float, number: int) -> str:
        """A script that saves `text` as people and tools do."""
        new = f"/root/new-{name}"
        self.registry.machine.write(new, text)
        places = {"path": f"{ETC}/{name}", "tmp": f"{ETC}.tmp/{name}", "etc": ETC}
        return SAVES[way].format(new=new, name=name, number=number, pause=pause, **places)

    def run(self, script: str) -> None:
        self.registry.machine.run("sh", "-ec", script)

    def mend(self) -> None:
        """A directory and plain files again, each as it last was good."""
        new = f"{ETC}.new"
        self.run(f"cp -aL {ETC}/. {new}; mv {ETC} {ETC}.old; mv {new} {ETC}; rm -rf {ETC}.old")
        for subject in self.subjects:
            path = shlex.quote(f"{ETC}/{subject.name}")
            self.registry.machine.run("sh", "-ec", f"cat > {path}.n; mv {path}.n {path}", input=subject.text)
        self.run(f"chmod 600 {ETC}/docker-registry.key {ETC}/.htpasswd")

"""Edit /etc and it is live: every way of saving, without a command. Break it and nothing happens."""

from __future__ import annotations

import re
import time
from functools import partial

import pytest

from tests.booted.registry import ETC, SELF_SIGNED, Load, Registry

SECONDS = 5.0
CURRENT = "/var/lib/secure-registry/current"

WAYS = {
    "in place": "printf '# {mark}\\n' >> {path}",
    "truncate and write in pieces": "cp {path} /root/new; printf '# {mark}\\n' >> /root/new; : > {path}; "
    "while read -r line; do printf '%s\\n' \"$line\"; done < /root/new > {path}",
    "write and rename": "cp -p {path} {path}.tmp; printf '# {mark}\\n' >> {path}.tmp; mv {path}.tmp {path}",
    "sed -i": "sed -i '$a # {mark}' {path}",
    "a link that is swapped": "cp {path} /root/{mark}.conf; printf '# {mark}\\n' >> /root/{mark}.conf; "
    "ln -s /root/{mark}.conf {path}.link; mv -T {path}.link {path}",
    "removed and created": "cp {path} /root/new; printf '# {mark}\\n' >> /root/new; rm {path}; sleep 0.3; "
    "cat /root/new > {path}",
    "cp -a with an old time": "cp {path} /root/new; printf '# {mark}\\n' >> /root/new; touch -d 2001-01-01 /root/new; "
    "cp -a /root/new {path}",
    "mv of the whole directory": "cp -a {etc} {etc}.new; printf '# {mark}\\n' >> {etc}.new/nginx.conf; "
    "mv {etc} {etc}.old; mv {etc}.new {etc}",
    "a bind mount": "cp {path} /root/new; printf '# {mark}\\n' >> /root/new; mount --bind /root/new {path}; "
    "touch {etc}/x",
}


def live(registry: Registry, text: str, file: str = "front/nginx.conf", timeout: float = SECONDS) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if text in registry.machine.run("cat", f"{CURRENT}/{file}", check=False).stdout:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.promise("edits-are-live")
def test_every_way_of_saving_is_noticed(watched: Registry) -> None:
    watched.expected.append("nginx.conf: does not exist")  # for a moment, in one of them
    for number, (name, script) in enumerate(WAYS.items()):
        mark = f"saved-{number}"
        watched.machine.run("sh", "-c", script.format(path=f"{ETC}/nginx.conf", etc=ETC, mark=mark))
        assert live(watched, mark), name
        assert watched.status_of("/v2/") == "401"
    watched.machine.run("umount", f"{ETC}/nginx.conf")


@pytest.mark.promise("renewals-are-noticed")
def test_a_link_to_a_link_as_certbot_has_it(watched: Registry) -> None:
    """live/x/fullchain.pem -> ../../archive/x/fullchain7.pem: a new target of the inner link is seen."""
    machine = watched.machine
    machine.run("mkdir", "-p", "/etc/letsencrypt/live/x", "/etc/letsencrypt/archive/x")
    machine.run("chmod", "700", "/etc/letsencrypt/live", "/etc/letsencrypt/archive")
    new = f"{SELF_SIGNED} -days 90 2>/dev/null"
    for number in (1, 2):
        archive = "/etc/letsencrypt/archive/x"
        machine.run("sh", "-c", f"{new} -keyout {archive}/privkey{number}.pem -out {archive}/fullchain{number}.pem")
        for name in ("privkey", "fullchain"):
            link = f"/etc/letsencrypt/live/x/{name}.pem"
            machine.run("sh", "-c", f"ln -sfn ../../archive/x/{name}{number}.pem {link}.n && mv -T {link}.n {link}")
        if number == 1:
            machine.run("ln", "-sf", "/etc/letsencrypt/live/x/privkey.pem", f"{ETC}/docker-registry.key")
            machine.run("ln", "-sf", "/etc/letsencrypt/live/x/fullchain.pem", f"{ETC}/docker-registry.crt")
        want = machine.run(
            "openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", f"{archive}/fullchain{number}.pem"
        ).stdout
        served = partial(lambda want: watched.fingerprint() == want, want)
        machine.wait_for("the new certificate", served, timeout=SECONDS)
    watched.expected.append("waiting: ")


@pytest.mark.promise("removed-user-is-out")
def test_a_removed_user_is_out_within_a_second_without_a_command(watched: Registry) -> None:
    machine = watched.machine
    added = machine.run("secure-registry", "htpasswd", "-nbs", "alice", "secret-of-alice").stdout
    machine.run("sh", "-c", f"cat >> {ETC}/.htpasswd", input=added)
    machine.wait_for("alice", lambda: watched.status_of("/v2/", user="alice:secret-of-alice") == "200", SECONDS)
    watched.expected.append("weak hash")
    machine.wait_for("an apply with her", lambda: "2 users can log in" in watched.command("reload").stdout)
    machine.run("sed", "-i", "/^alice:/d", f"{ETC}/.htpasswd")
    machine.wait_for("her end", lambda: watched.status_of("/v2/", user="alice:secret-of-alice") == "401", SECONDS)
    just = r"(applied by the watchdog \d+ s ago: users|nothing to change)"  # if a reload of ours was first to end
    told = re.compile(just + r"\nserving: users\b.* since .*\n1 user can log in\n")
    machine.wait_for("what the watchdog did is told", lambda: told.fullmatch(watched.command("reload").stdout))


@pytest.mark.promise("half-a-pair")
def test_half_a_pair_is_waited_for(watched: Registry) -> None:
    machine = watched.machine
    before = watched.fingerprint()
    new = f"{SELF_SIGNED} -days 90"
    machine.run("sh", "-c", f"{new} -keyout /root/key -out /root/crt 2>/dev/null")
    machine.run("cp", "/root/crt", f"{ETC}/docker-registry.crt")
    machine.wait_for("it", lambda: "waiting" in watched.command("status").stdout, timeout=SECONDS)
    assert "rejected" not in watched.command("status").stdout and watched.fingerprint() == before
    machine.run("cp", "/root/key", f"{ETC}/docker-registry.key")
    machine.wait_for("the new pair", lambda: watched.fingerprint() != before, timeout=SECONDS)
    machine.wait_for("its end", lambda: watched.command("status").returncode == 0, timeout=SECONDS)
    watched.expected.append("waiting: ")


def test_a_burst_is_a_few_reloads_and_own_writes_are_none(watched: Registry) -> None:
    machine = watched.machine
    mark = machine.journal_end()
    machine.run(
        "sh", "-c", f"for i in $(seq 1000); do echo '#' >> {ETC}/nginx.conf; done; echo '# end' >> {ETC}/nginx.conf"
    )
    assert live(watched, "# end")

    def asked() -> int:
        return sum("Starting secure-registry-reload" in entry["MESSAGE"] for entry in machine.journal(after=mark))

    machine.wait_for("quiet", lambda: machine.unit_state("secure-registry-reload.service") == "inactive")
    assert 1 <= asked() <= 3
    before, mark = watched.processes(), machine.journal_end()
    watched.edit("secure-registry.conf", "#CERT_DAYS=397", "CERT_DAYS=300")  # nothing of nginx's: one look, no reload
    machine.wait_for("the look", lambda: asked() == 1)
    time.sleep(2)  # what must not happen can't be waited for
    assert asked() <= 2 and watched.processes() == before


@pytest.mark.promise("bad-edits-are-named")
def test_a_broken_edit_is_told_once_and_held_back(watched: Registry) -> None:
    watched.expected.append("unknown directive")
    mark = watched.machine.journal_end()
    before = watched.edit("nginx.conf", "server_name", "nonsense")
    watched.machine.wait_for("it", lambda: watched.command("status").returncode == 3, timeout=SECONDS)
    assert watched.status_of("/v2/_catalog", user="docker") == "200"

    def lines() -> list[str]:
        # not by journalctl's own filters: with --after-cursor it passes over the first entry that matches
        found = [entry for entry in watched.machine.journal(after=mark) if "unknown directive" in entry["MESSAGE"]]
        assert all(entry["PRIORITY"] == "3" and entry["SECREG_PART"] == "nginx" for entry in found)
        return [entry["SECREG_REMEDY"] for entry in found]

    watched.machine.wait_for("the journal entry", lines, timeout=SECONDS)
    assert len(lines()) == 1
    assert "unknown directive" in watched.systemctl("status", "secure-registry").stdout
    watched.put("nginx.conf", before)
    watched.machine.wait_for("its end", lambda: watched.command("status").returncode == 0, timeout=SECONDS)


@pytest.mark.promise("changes-are-seen")
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_change_while_the_watchdog_is_away_is_seen_when_it_is_back(watched: Registry, signal: str) -> None:
    watched.expected.append("watchdog.service: ")
    machine = watched.machine
    if signal == "KILL":
        machine.run("systemctl", "stop", "secure-registry-watchdog")
        watched.edit("nginx.conf", "worker_processes", "# while away\nworker_processes")
        machine.run("systemctl", "start", "secure-registry-watchdog")
    else:
        machine.run("systemctl", "kill", "--signal=STOP", "secure-registry-watchdog")
        watched.edit("nginx.conf", "worker_processes", "# while away\nworker_processes")
        machine.run("systemctl", "kill", "--signal=CONT", "secure-registry-watchdog")
    assert live(watched, "# while away")


@pytest.mark.promise("hooks")
def test_hooks_are_told_what_was_rejected_and_applied(watched: Registry) -> None:
    watched.expected.append("unknown directive|secure-registry-hook-log-.*: Failed with result 'exit-code'")
    machine = watched.machine
    # /usr: a hook is not held by the walls around ourselves
    hook = "#!/bin/sh\nenv | grep SECREG >> /root/hooks.log\ntouch /usr/local/a-hook-ran\nexit 7\n"
    machine.write(f"{ETC}/hooks.d/log", hook, 0o755)
    machine.write(f"{ETC}/hooks.d/README.txt", "not a hook", 0o755)
    before = watched.edit("nginx.conf", "server_name", "nonsense")
    machine.wait_for("it", lambda: "SECREG_EVENT=rejected" in machine.run("cat", "/root/hooks.log", check=False).stdout)
    assert f"SECREG_WHERE={watched.line_of('nginx.conf', 'nonsense')}\n" in machine.read("/root/hooks.log")
    watched.put("nginx.conf", before + "# a change\n")
    machine.wait_for("the other", lambda: "SECREG_EVENT=applied" in machine.read("/root/hooks.log"))
    machine.wait_for("its failure", lambda: any("status=7" in entry["MESSAGE"] for entry in machine.journal()))
    assert machine.exists("/usr/local/a-hook-ran")


@pytest.mark.promise("renewal")
def test_new_names_renew_the_certificate_by_themselves(watched: Registry) -> None:
    before = watched.fingerprint()
    watched.edit("openssl.cnf", "DNS.1", "DNS.9 = deep.host.localhost\nDNS.1")
    watched.machine.wait_for("the new certificate", lambda: watched.fingerprint() != before, timeout=SECONDS)
    assert watched.status_of("/v2/", user="docker") == "200"


@pytest.mark.promise("no-connection-is-dropped")
def test_edits_under_load_drop_no_request(watched: Registry) -> None:
    with Load(watched) as load:
        for number in range(6):
            name = "nginx.conf" if number % 2 else "docker-registry.yml"
            watched.machine.run("sh", "-c", f"echo '# load {number}' >> {ETC}/{name}")
            file = "front/nginx.conf" if number % 2 else "registry/docker-registry.yml"
            assert live(watched, f"# load {number}", file, timeout=15)
    assert (load.failures, load.requests > 20) == ([], True)

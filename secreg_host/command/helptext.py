"""What the command says about itself, once: `--help`, and the manual pages that packaging/pages makes of it."""

from __future__ import annotations

from secreg_host.base import journal
from secreg_host.base.paths import Paths

DESCRIPTION = """\
A private Docker/OCI registry with TLS and passwords on this host, without containers: distribution's registry
behind nginx, as systemd units that are configured by the files of /etc/secure-registry.
"""

ETC = f"{Paths().etc}/"
LIB = f"{Paths().lib}/"

FILES = (
    (f"{ETC}secure-registry.conf", "settings, KEY=value"),
    (f"{ETC}nginx.conf", "the TLS front"),
    (f"{ETC}docker-registry.yml", "the registry: where images are, and how"),
    (f"{ETC}docker-registry.crt", "the certificate and ..."),
    (f"{ETC}docker-registry.key", "... its key: put your own here"),
    (f"{ETC}openssl.cnf", "what gencert puts into a certificate"),
    (f"{ETC}ca.crt", "what clients trust"),
    (f"{ETC}.htpasswd", "users"),
    (f"{ETC}.password", "the password that was made up at setup"),
    (f"{ETC}hooks.d/", "your programs, run when a change is rejected or applied, or something breaks"),
    (f"{LIB}storage/", "images"),
    (f"{LIB}audit/", "who did what on other days; of today: audit.log among the logs"),
    (f"{LIB}current/", "what serves now; never edit it"),
)

CHANGES = """\
A change in /etc serves by itself, at once after: secure-registry reload. One that is bad never does: it is named by
secure-registry status, and the last good version goes on."""

ENVIRONMENT = """\
Every setting of secure-registry.conf may be given to setup and start: SERVER_NAME=registry.example.org PORT=8443 ..."""

DEBUG = "also say which programs are run, what is decided, and how long it takes"
IN_UNITS = f"""\
{journal.DEBUG}=1 is as good as --debug; for all that systemd starts from then on: {journal.SET}"""

EXIT_CODES = ((0, "done"), (1, "failed"), (2, "bad input"), (3, "not proven, or degraded"))

EXAMPLES = (
    ("secure-registry start", "set up, start, and say how to log in"),
    ("secure-registry htpasswd alice", "add a user or change a password"),
    ("secure-registry status", "how each component is, and what is held back"),
    ("secure-registry trust show --line", "a line to paste on another host, whose Docker then trusts the registry"),
    ("secure-registry backup create /srv/backup", "configuration and images, while everything runs"),
    ("secure-registry audit --since 2d", "who pushed, deleted, was refused, and which users changed"),
    ("secure-registry images list", "which images there are, and what they need"),
    (
        "secure-registry start --foreground --disposable",
        "an instance that leaves nothing behind, for a try; needs no root",
    ),
)


def epilog() -> str:
    """The end of `--help`."""
    lines = ["files:"]
    for directory in (ETC, LIB):
        lines.append(f"  {directory}")
        inside = [(path.removeprefix(directory), about) for path, about in FILES if path.startswith(directory)]
        lines += [f"    {name:<22} {about}" for name, about in inside]
    lines += ["", *(f"  {line}" for line in CHANGES.splitlines()), "", "environment:"]
    lines += [f"  {ENVIRONMENT}", f"  {IN_UNITS}", ""]
    lines += ["exit codes:", "  " + "   ".join(f"{code} {about}" for code, about in EXIT_CODES), "", "examples:"]
    lines += [f"  {command:<47} {about}" for command, about in EXAMPLES]
    return "\n".join(lines) + "\n"

"""`secure-registry trust`."""

from __future__ import annotations

import argparse

from secreg_host.base import files
from secreg_host.base.errors import Exit, Later, Note, SecregError, bad_input
from secreg_host.clients import elsewhere, trust, trustcheck
from secreg_host.command import printing
from secreg_host.command.call import Call
from secreg_host.generation import generations
from secreg_host.host.host import Host
from secreg_host.watchdog import retries

ABOUT = "let Docker and other clients trust the registry; show: a script for other machines"
ACTIONS = {
    "install": "let clients of this host trust the registry (default: those found here, but for system)",
    "remove": "take out of their files what was put in (default: all)",
    "check": "go there by the rules of each client; say which one fails and why (default: those found here)",
    "show": "print a script with which another machine trusts the registry",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`, each with the options that all commands have."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    made = {name: actions.add_parser(name, help=about) for name, about in ACTIONS.items()}
    for name in ("install", "remove", "check"):
        made[name].add_argument("client", nargs="*", help=", ".join(trust.NAMES))
    made["install"].add_argument(
        "--insecure", action="store_true", help="unverified TLS; docker goes by DOCKER_TRUST instead"
    )
    made["show"].add_argument("--line", action="store_true", help="one line, for Docker alone")


def run(call: Call) -> int:
    """Clients that trust the registry: on this host, or (show) on another one."""
    host, args = call.host(), call.args
    current = generations.load(host, generations.current_name(host))
    known = trust.at(host, current)
    if args.action == "show":
        back = elsewhere.kept_back(host, current) if current is not None else None
        print(elsewhere.show(host.paths, known.served, line=args.line, within=back is not None), end="")
        printing.warnings([back] if back is not None else [])
        return Exit.DONE
    if unknown := [name for name in args.client if name not in trust.NAMES]:
        raise bad_input("trust", f"{unknown[0]!r} is no client that is known", f"name one of: {', '.join(trust.NAMES)}")
    if args.action == "check":
        return _check(host, known, args.client)
    with files.lock(host.paths.lock, f"trust {args.action}"):
        install = args.action == "install"
        problems = known.install(args.client, insecure=args.insecure) if install else known.remove(args.client)
        if later := [problem for problem in problems if isinstance(problem, Later)]:
            retries.failed(host.paths, later, start=False)
    printing.warnings(problems)
    for line in known.told():
        print(line)
    return Exit.DEGRADED if any(not isinstance(problem, Note) for problem in problems) else Exit.DONE


def _check(host: Host, known: trust.Trust, names: list[str]) -> int:
    if known.served is None:
        raise SecregError("nothing serves yet, so no client can be checked", "secure-registry start")
    checked, problems = trustcheck.check(host.paths, known.manager, known.served, names)
    for one in checked:
        print(one)
    printing.warnings(problems)
    return Exit.DEGRADED if problems or any(one.wrong for one in checked) else Exit.DONE

"""`secure-registry users`."""

from __future__ import annotations

import argparse
import json

from secreg_host.base.errors import Exit
from secreg_host.command import amounts, people, printing
from secreg_host.command.call import Call
from secreg_host.generation import generations
from secreg_host.observe import logins
from secreg_host.wanted.parts import users
from secreg_host.wanted.parts.access import AccessPart

ABOUT = "list who can log in, robots too: what each may do where, and when he was let in last"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its option to `parser`."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(call: Call) -> int:
    """List them."""
    host = call.host()
    current = generations.load(host, generations.current_name(host))
    policy = current.parts[AccessPart].policy if current is not None else None
    found = users.read(host.paths)
    printing.warnings(found.problems)
    everybody = list(people.everybody(found, policy, logins.last(host.paths)))
    if call.args.json:
        print(json.dumps([person.record for person in everybody], indent=1))
    elif everybody:
        for line in amounts.columns([("USER", "LAST LOGIN", "RIGHTS"), *(person.row for person in everybody)]):
            print(line)
    return Exit.BAD_INPUT if found.problems else Exit.DONE

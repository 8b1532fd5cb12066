"""`secure-registry access`."""

from __future__ import annotations

import argparse

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.wish import Wish
from secreg_host.base import files, reading
from secreg_host.base.errors import Exit, SecregError, bad_input
from secreg_host.command import asking, instance, printing, rights
from secreg_host.command.call import Call
from secreg_host.generation import generations
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.images import targets
from secreg_host.wanted.parts import access
from secreg_host.wanted.parts.access import AccessPart

ABOUT = "say who may do what, and why; or give up access.yml"
GUEST = "-"
"""Who does not say who he is."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    explain = actions.add_parser("explain", help="say what a user may do in a repository, and which line decides")
    explain.add_argument("user", metavar="USER", help="a user; - for who comes without a password")
    explain.add_argument("image", metavar="REPO[:TAG]", help="a repository, or a tag of it")
    off = actions.add_parser(
        "off", help="give up access.yml: each user may do everything again, and nobody else anything"
    )
    off.add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")


def run(call: Call) -> int:
    """Do what `action` says."""
    return _explain(call) if call.args.action == "explain" else _off(call)


def _explain(call: Call) -> int:
    host = call.host()
    target = targets.parse(call.args.image)
    current = generations.load(host, generations.current_name(host))
    if current is None:
        raise SecregError("nothing serves yet, so nothing decides", "secure-registry start")
    part = current.parts[AccessPart]
    user = None if call.args.user == GUEST else call.args.user
    own = None if user is None else LiveUsers(host).own(user)
    for line in rights.explained(part.policy, part.place, user, target, own):
        print(line)
    if reading.peek(host.paths.access_yml, reading.YAML) != part.files.get(access.YML, b"") and part.policy is not None:
        print(f"{host.paths.access_yml} is another one by now; what is said here is of what serves")
    return Exit.DONE


def _off(call: Call) -> int:
    one = instance.of(call)
    paths = one.host.paths
    if not call.args.yes:
        if not asking.interactive():
            raise bad_input("access off", "nobody is there to ask", "if it is meant, add --yes")
        if not asking.agreed("Give up access.yml, so that each user may do everything?"):
            print("nothing was changed")
            return Exit.FAILED
    files.make_directory(paths.state, 0o700)
    access.give_up(paths)
    if reading.is_there(paths.access_yml):
        kept = paths.access_yml.with_name(f"{paths.access_yml.name}.off")
        with files.explained(kept, "move there"):
            paths.access_yml.replace(kept)
            files.sync_directory(kept.parent)
        print(f"{paths.access_yml} is {kept} now")
    if one.running():
        report = one.reload("access off")
    else:
        report = apply.apply(Stage(one.host, one.services), Wish("access off", {}), one.follow)
    printing.outcome(report)
    return apply.exit_code(report)

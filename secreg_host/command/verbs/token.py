"""`secure-registry token`."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable

from secreg_host.base.errors import Exit, SecregError, bad_input
from secreg_host.command import ages, amounts, instance, printing, status, tokens
from secreg_host.command.call import Call
from secreg_host.command.tokens import Outlet
from secreg_host.formats import robots
from secreg_host.formats.robots import Robot
from secreg_host.generation import generations
from secreg_host.host.host import Host

ABOUT = "make, list, renew and revoke robots: users that are programs, with rights of their own"
ACTIONS = {
    "create": "make a robot; its secret is shown once",
    "list": "which robots there are, and until when they count",
    "renew": "give a robot another secret; the one before counts for a while",
    "revoke": "take a robot away; it is out at once",
}
EXPIRES, OVERLAP = "90d", "24h"
RIGHTS = {
    "read": "let it pull from the repositories of a pattern, such as 'team-a/**'; may be given again",
    "push": "let it pull and push there, and overwrite tags",
    "create": "let it pull and push there, but overwrite no tag",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to `parser`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    for name, about in ACTIONS.items():
        one = actions.add_parser(name, help=about)
        if name != "list":
            one.add_argument("name", metavar="NAME", help=f"the robot; it logs in as {robots.PREFIX}NAME")
        if name == "create":
            for word, what in RIGHTS.items():
                one.add_argument(f"--{word}", action="append", default=[], metavar="GLOB", help=what)
        if name == "renew":
            how = f"how long the secret before counts still, such as {OVERLAP} (the default), or 0s"
            one.add_argument("--overlap", default=OVERLAP, metavar="AGE", help=how)
        if name in ("create", "renew"):
            usual = f"{EXPIRES}, the default" if name == "create" else "as long as the one before, by default"
            how = f"how long its secret counts ({usual}); or {robots.NEVER}"
            one.add_argument("--expires", default=EXPIRES if name == "create" else "", metavar="AGE", help=how)
            how = f"write the secret to a new file that only its owner reads; {tokens.HERE}: to standard output"
            one.add_argument("--output", metavar="FILE", help=how)
        if name == "list":
            one.add_argument("--json", action="store_true", help="as JSON")


def run(call: Call) -> int:
    """Do what `action` says."""
    actions: dict[str, Callable[[Call], int]] = {
        "create": _create,
        "list": _list,
        "renew": _renew,
        "revoke": _revoke,
    }
    return actions[call.args.action](call)


def _create(call: Call) -> int:
    one, args = instance.of(call), call.args
    want = tokens.wanted(args.name, {word: getattr(args, word) for word in RIGHTS}, args.expires)
    where = tokens.outlet(args.output, sys.stdout)
    where.check()
    robot, secret = tokens.create(one.host.paths, want, where)
    if not robot.rights:
        say = _say(where)
        say(f"{robot.login} has no rights of its own (--read, --push, --create), but what access.yml may give it")
    return _told(one, robot, secret, where)


def _renew(call: Call) -> int:
    one, args = instance.of(call), call.args
    tokens.check_name(args.name)
    overlap = ages.seconds("--overlap", args.overlap)
    if overlap > tokens.LONGEST:
        raise bad_input("--overlap", f"{args.overlap} is more than 20 years", f"write {OVERLAP}, say")
    seconds = tokens.seconds_of(args.expires) if args.expires else None
    where = tokens.outlet(args.output, sys.stdout)
    where.check()
    change = functools.partial(_changed, overlap=overlap, seconds=seconds, as_before=not args.expires)
    before, after, secret = tokens.renew(one.host.paths, args.name, change, where)
    if before.has_old(time.time()):
        _say(where)("the secret before the last one, which counted still, is out")
    return _told(one, after, secret, where)


def _changed(robot: Robot, now: int, *, overlap: int, seconds: int | None, as_before: bool) -> Robot:
    return tokens.renewed(robot, overlap, seconds, now, as_before=as_before)


def _revoke(call: Call) -> int:
    one = instance.of(call)
    tokens.check_name(call.args.name)
    tokens.revoke(one.host.paths, call.args.name)
    print(f"{robots.PREFIX}{call.args.name} is no robot any more")
    return _count(one, print)


def _told(one: instance.Instance, robot: Robot, secret: str, where: Outlet) -> int:
    """Let `robot` count, and tell its secret then; returns the exit code."""
    say = _say(where)
    code = _count(one, say)
    say(f"{robot.login}: {tokens.state_of(robot, time.time())}; {tokens.rights_said(robot)}")
    say(f"log in with: {_login(one.host, robot)}")
    if where.path is not None:
        print(f"the secret is in {where.path}")
        return code
    say("the secret, which is shown this once:")
    print(secret, flush=True)
    return code


def _say(where: Outlet) -> Callable[[str], None]:
    """What tells people something: beside the secret, where that alone is to be on standard output."""
    return functools.partial(print, file=sys.stderr if where.asked else sys.stdout)


def _count(one: instance.Instance, say: Callable[[str], None]) -> int:
    """Let robots count; returns the exit code."""
    found, count = one.let_users_count()
    printing.findings(found)
    say("it counts when the registry runs" if count is None else printing.users(count, found))
    return Exit.DEGRADED if any(finding.kind == "unproven" for finding in found) else Exit.DONE


def _login(host: Host, robot: Robot) -> str:
    """The command with which it logs in, if something serves."""
    try:
        generation = generations.load(host, generations.current_name(host))
    except SecregError:
        generation = None
    said, _, address = (status.login_hint(generation) if generation else "docker login ADDRESS").rpartition(" ")
    return f"{said} -u {robot.login} --password-stdin {address}"


def _list(call: Call) -> int:
    paths, now = call.host().paths, time.time()
    found, problems = tokens.known(paths)
    printing.warnings(problems)
    if call.args.json:
        print(json.dumps([tokens.as_json(robot, now) for robot in found], indent=1))
    elif not found:
        print("there is no robot; make one: secure-registry token create NAME --read GLOB")
    else:
        rows = [(robot.login, tokens.state_of(robot, now), tokens.rights_said(robot)) for robot in found]
        for line in amounts.columns([("LOGIN", "COUNTS", "RIGHTS"), *rows]):
            print(line)
    return Exit.BAD_INPUT if problems else Exit.DONE

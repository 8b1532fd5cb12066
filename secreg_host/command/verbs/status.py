"""`secure-registry status`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from secreg_host.base.errors import Exit, SecregError
from secreg_host.command.call import Call
from secreg_host.observe import kept, views
from secreg_host.observe.views import Nagios

ABOUT = "say how each component is, and what is held back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="as JSON")
    how.add_argument("--check", action="store_true", help="one line and an exit code for Nagios: 0, 1, 2, 3 = unknown")


def run(call: Call) -> int:
    """Say what serves: root looks, everybody else is told what root saw last. Raises SecregError when nobody can say
    it, but to a check."""
    try:
        if os.geteuid() != 0 and call.paths.root == Path("/"):
            return _second_hand(call)
        found = views.asked(call.host())
    except SecregError as error:
        if not call.args.check:
            raise
        print(f"SECURE-REGISTRY UNKNOWN - {error.message}")
        return Nagios.UNKNOWN
    if call.args.check:
        code, line = views.check(found)
        print(line)
        return code
    print(json.dumps(views.as_json(found), indent=2) if call.args.json else views.as_text(found))
    return found.code


def _second_hand(call: Call) -> int:
    """What root saw last. Raises SecregError when there is nothing of it."""
    told = kept.told(call.paths)
    if told is None:
        raise SecregError(
            "only root can look, and has not done so since the host was started", "sudo secure-registry status"
        )
    age = views.aged(told)
    if call.args.check:
        print(f"{told.check} ({age})")
        word = told.check.split()[1]
        return Nagios[word] if word in Nagios.__members__ else Nagios.UNKNOWN
    print(json.dumps(told.json, indent=2) if call.args.json else f"{told.text}\n({age})")
    return Exit(told.code)

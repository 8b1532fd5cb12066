"""`secure-registry status`."""

from __future__ import annotations

import argparse
import json

from secreg_host.command import status
from secreg_host.command.call import Call

ABOUT = "say what serves, until when, and what is held back"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its option to `parser`."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(call: Call) -> int:
    """Say what serves."""
    found = status.look(call.host())
    print(json.dumps(status.as_json(found), indent=2) if call.args.json else status.as_text(found))
    return found.code

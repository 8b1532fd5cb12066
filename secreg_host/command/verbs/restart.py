"""`secure-registry restart`."""

from __future__ import annotations

import argparse

from secreg_host.command import instance, printing
from secreg_host.command.call import Call

ABOUT = "stop and start it"


def add(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(call: Call) -> int:
    """Stop and start."""
    one = instance.startable(call)
    one.restart()
    return printing.serving(one.host)

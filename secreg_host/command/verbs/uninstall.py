"""`secure-registry uninstall`."""

from __future__ import annotations

import argparse

from secreg_host.base.errors import Exit
from secreg_host.command import instance, removal
from secreg_host.command.call import Call

ABOUT = "stop it and remove the units that were written for this host"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its option to `parser`."""
    parser.add_argument("--purge", action="store_true", help="also remove the configuration and all data but images")


def run(call: Call) -> int:
    """Stop everything and remove the rendered units; with --purge also configuration and data, never images."""
    removal.uninstall(instance.of(call), print, purge=call.args.purge)
    return Exit.DONE

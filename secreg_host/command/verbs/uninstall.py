"""`secure-registry uninstall`."""

from __future__ import annotations

import argparse

from secreg_host.base.errors import Exit
from secreg_host.command import asking, instance, removal
from secreg_host.command.call import Call

ABOUT = "stop it and remove the units that were written for this host"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options to `parser`."""
    parser.add_argument("--purge", action="store_true", help="also remove the configuration and all data but images")
    parser.add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")


def run(call: Call) -> int:
    """Stop everything and remove the rendered units; with --purge also configuration and data, never images."""
    paths = call.paths
    loses = f"and remove {paths.etc}, its CA's key and all users; images stay" if call.args.purge else "and its units"
    if not (call.args.yes or asking.agreed(f"Stop the registry {loses}?")):
        print("nothing was changed")
        return Exit.FAILED
    removal.uninstall(instance.of(call), print, purge=call.args.purge)
    return Exit.DONE

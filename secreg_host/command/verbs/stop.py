"""`secure-registry stop`."""

from __future__ import annotations

import argparse

from secreg_host.base.errors import Exit
from secreg_host.command import instance
from secreg_host.command.call import Call

ABOUT = "stop the registry"


def add(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(call: Call) -> int:
    """Stop the registry."""
    instance.of(call).stop()
    return Exit.DONE

"""`secure-registry reload`."""

from __future__ import annotations

import argparse

from secreg_host.apply import apply
from secreg_host.command import instance, printing
from secreg_host.command.call import Call

ABOUT = "let changes of the configuration serve, without dropping a connection"


def add(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(call: Call) -> int:
    """Let changes serve; problems are printed here."""
    report = instance.of(call).reload("reload")
    printing.outcome(report)
    return apply.exit_code(report)

"""The command: verbs, exit codes, and the only place that prints errors."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from secreg_host import __version__
from secreg_host.base import journal
from secreg_host.base.errors import Exit, SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import helptext
from secreg_host.command.call import Call
from secreg_host.command.verbs import (
    apply,
    gencert,
    help,
    htpasswd,
    reload,
    restart,
    setup,
    start,
    status,
    stop,
    trust,
    uninstall,
)

log = logging.getLogger(__name__)


class Verb(Protocol):
    """A module of `verbs`."""

    ABOUT: str
    """What it does, in a line."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add its options to `parser`."""

    def run(self, call: Call) -> int:
        """Do it; returns the exit code. Raises SecregError, which is printed here."""


class Parser(argparse.ArgumentParser):
    """A parser with the options that every command has; those of commands and their actions are made of it, too."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.add_argument(
            "--root",
            type=Path,
            metavar="DIR",
            default=argparse.SUPPRESS,
            help="work below DIR instead of /: an instance of your own",
        )
        self.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=helptext.DEBUG)


VERBS: dict[str, Verb] = {
    "start": start,
    "setup": setup,
    "stop": stop,
    "restart": restart,
    "reload": reload,
    "status": status,
    "gencert": gencert,
    "htpasswd": htpasswd,
    "trust": trust,
    "uninstall": uninstall,
    "help": help,
}
"""What people type, as the help lists it."""

HIDDEN: dict[str, Verb] = {"apply": apply}
"""What units run."""


@functools.cache
def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        "secure-registry",
        description=helptext.DESCRIPTION,
        epilog=helptext.epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"secure-registry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="verb", title="commands")
    for name, verb in VERBS.items():
        one = commands.add_parser(name, help=verb.ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
        one.description = verb.ABOUT.capitalize() + "."
        verb.add(one)
    for name, verb in HIDDEN.items():
        verb.add(commands.add_parser(name))
    return parser


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell's completion, if argcomplete is installed."""
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser, exclude=["apply"])


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    os.umask(0o022)
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow; it gets its answer here and nothing is done
        complete(parser)
    args = parser.parse_args(argv)
    if args.verb is None:
        args = parser.parse_args([*(argv if argv is not None else sys.argv[1:]), "start"])
    journal.start(debug=getattr(args, "debug", False))
    call = Call(args, Paths(_root(args)), os.environ if environment is None else environment, parser)
    log.debug("secure-registry %s: %s, process %d", __version__, args.verb, os.getpid())
    try:
        code = int((VERBS | HIDDEN)[args.verb].run(call))
        sys.stdout.flush()
        log.debug("%s: exit code %d", args.verb, code)
        return code
    except SecregError as error:
        log.error("\n".join(f"secure-registry: {problem}" for problem in error.problems))
        first = error.problems[0]
        journal.notify(f"STATUS=failed: {first.where}{': ' if first.where else ''}{first.what} -> {first.hint}")
        return int(error.code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard(sys.stdout, sys.stderr)
        return int(Exit.FAILED)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:
            raise
        log.error(f"secure-registry: cannot write what is to be said: {error.strerror}")
        _discard(sys.stdout)
        return int(Exit.FAILED)


def _discard(*outputs: TextIO) -> None:
    """Let what Python still holds for `outputs` go nowhere when it ends."""
    for output in outputs:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _root(args: argparse.Namespace) -> Path:
    root: Path = getattr(args, "root", Path("/"))
    return root.absolute()

"""The command: verbs, exit codes, and the only place that prints errors."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, cast

from secreg_host import __version__
from secreg_host.base import journal
from secreg_host.base.errors import Exit, SecregError
from secreg_host.base.paths import Paths
from secreg_host.command import helptext
from secreg_host.command.call import Call

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


VERBS = (
    "start",
    "setup",
    "stop",
    "restart",
    "reload",
    "status",
    "gencert",
    "htpasswd",
    "trust",
    "backup",
    "restore",
    "images",
    "gc",
    "audit",
    "uninstall",
    "help",
)
"""What people type, as the help lists it: modules of `verbs`."""

HIDDEN = ("apply",)
"""What units run."""


def load(name: str) -> Verb:
    """The verb `name`, whose module is loaded only now: each loads what it needs."""
    return cast(Verb, importlib.import_module(f"secreg_host.command.verbs.{name}"))


def typed(argv: Sequence[str]) -> tuple[str, ...]:
    """The verb that `argv` is about, so that no other one need be loaded; nothing where that is not plain, or is all of
    them (help, completion)."""
    found = {word for word in argv if word in (*VERBS, *HIDDEN)}
    return tuple(found) if len(found) == 1 and "help" not in found and "_ARGCOMPLETE" not in os.environ else ()


@functools.cache
def build_parser(*only: str) -> argparse.ArgumentParser:
    """The parser of the whole command line, or of the verbs `only`."""
    parser = Parser(
        "secure-registry",
        description=helptext.DESCRIPTION,
        epilog=helptext.epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"secure-registry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="verb", title="commands")
    for name in only or (*VERBS, *HIDDEN):
        verb = load(name)
        shown: dict[str, Any] = {"help": verb.ABOUT} if name in VERBS else {}
        one = commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **shown)
        one.description = f"{verb.ABOUT.capitalize()}."
        verb.add(one)
    return parser


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell's completion, if argcomplete is installed."""
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser, exclude=["apply"])


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    os.umask(0o022)
    _open_streams()
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(*typed(words))
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow; it gets its answer here and nothing is done
        complete(parser)
    args = parser.parse_args(words)
    if args.verb is None:
        args = parser.parse_args([*words, "start"])
    journal.start(debug=getattr(args, "debug", False))
    call = Call(args, Paths(_root(args)), os.environ if environment is None else environment, parser)
    log.debug("secure-registry %s: %s, process %d", __version__, args.verb, os.getpid())
    code = _run(args.verb, call)
    log.debug("%s: exit code %d", args.verb, code)
    return code


def _open_streams() -> None:
    """What was closed by who started us (`>&-`) leads nowhere: nothing fails by it, and no file that is opened gets its
    number, by which a program of ours would write into that."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        os.set_inheritable(descriptor, descriptor == number)
        setattr(sys, name, os.fdopen(descriptor, "w" if number else "r"))


def _run(verb: str, call: Call) -> int:
    """Run `verb`; returns the exit code. The errors that people can do something about are told here."""
    try:
        code = int(load(verb).run(call))
        sys.stdout.flush()
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
        return _unheard(call)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:
            raise
        log.error(f"secure-registry: cannot write what is to be said: {error.strerror}")
        _discard(sys.stdout)
        return _unheard(call)


def _unheard(call: Call) -> int:
    """The exit code when nobody can hear what is said: to monitoring, that it is not known (Nagios: 1 is a warning)."""
    return int(Exit.DEGRADED if getattr(call.args, "check", False) else Exit.FAILED)


def _discard(*outputs: TextIO) -> None:
    """Let what Python still holds for `outputs` go nowhere when it ends."""
    for output in outputs:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _root(args: argparse.Namespace) -> Path:
    root: Path = getattr(args, "root", Path("/"))
    return root.absolute()

"""The command: verbs, exit codes, and the only place that prints errors."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from secreg_host import __version__
from secreg_host.base.errors import Exit, SecregError
from secreg_host.base.journal import Level, notify, say
from secreg_host.base.paths import Paths
from secreg_host.command import helptext, verbs

VERBS: dict[str, tuple[Callable[[verbs.Call], int], str]] = {
    "start": (verbs.start, "set up, then start the registry (the default)"),
    "setup": (verbs.setup, "write what is missing: configuration, certificate, the first user"),
    "stop": (verbs.stop, "stop the registry"),
    "restart": (verbs.restart, "stop and start it"),
    "reload": (verbs.reload, "let changes of the configuration serve, without dropping a connection"),
    "status": (verbs.status, "say what serves, until when, and what is held back"),
    "gencert": (verbs.gencert, "issue a new certificate; replaces the present one"),
    "htpasswd": (verbs.htpasswd, "add, change, remove or check users, with the options of Apache's htpasswd"),
    "trust": (verbs.trust, "let Docker and other clients trust the registry; show: a script for other machines"),
    "uninstall": (verbs.uninstall, "stop it and remove the units that were written for this host"),
    "help": (verbs.help_, "show this help"),
}


@functools.cache
def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="work below DIR instead of /: an instance of your own",
    )
    parser = argparse.ArgumentParser(
        "secure-registry",
        description=helptext.DESCRIPTION,
        epilog=helptext.epilog(),
        parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"secure-registry {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="verb", title="commands")
    made = {
        name: commands.add_parser(
            name,
            help=about,
            description=about.capitalize() + ".",
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, (_, about) in VERBS.items()
    }
    made["start"].add_argument(
        "--foreground", action="store_true", help="run everything under this process; needs neither systemd nor root"
    )
    made["start"].add_argument(
        "--disposable",
        action="store_true",
        help="with --foreground: in a temporary directory that is removed at the end",
    )
    made["start"].add_argument(
        "--watch",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --foreground: let edits serve by themselves",
    )
    made["status"].add_argument("--json", action="store_true", help="as JSON")
    made["gencert"].add_argument(
        "--new-ca", action="store_true", help="make a new CA first; every client must then trust the new ca.crt"
    )
    made["gencert"].add_argument(
        "--force",
        action="store_true",
        help="also in place of a certificate or a key that is not of this program's making; that is kept beside (.bak)",
    )
    made["uninstall"].add_argument(
        "--purge", action="store_true", help="also remove the configuration and all data but images"
    )
    verbs.add_htpasswd_options(made["htpasswd"])
    _add_trust(made["trust"], common)
    apply = commands.add_parser("apply", parents=[common])  # what the units run; not shown in the list
    apply.add_argument("--start", action="store_true")
    return parser


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell's completion, if argcomplete is installed."""
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser, exclude=["apply"])


def _add_trust(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """The actions of `trust`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, title="actions")
    abouts = {
        "install": "let clients of this host trust the registry (default: those found here, but for system)",
        "remove": "take out of their files what was put in (default: all)",
        "check": "shake hands by the rules of each client; say which one fails and why (default: those found here)",
        "show": "print a script with which another machine trusts the registry",
    }
    made = {name: actions.add_parser(name, help=about, parents=[common]) for name, about in abouts.items()}
    for name in ("install", "remove", "check"):
        made[name].add_argument("client", nargs="*", help="docker, podman, containerd, k3s, system")
    made["install"].add_argument(
        "--insecure", action="store_true", help="unverified TLS; docker goes by DOCKER_TRUST instead"
    )
    made["show"].add_argument("--line", action="store_true", help="one line, for Docker alone")


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    os.umask(0o022)
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow; it gets its answer here and nothing is done
        complete(parser)
    args = parser.parse_args(argv)
    verb = args.verb or "start"
    if args.verb is None:
        args = parser.parse_args([*(argv if argv is not None else sys.argv[1:]), "start"])
    act = verbs.apply_unit if verb == "apply" else VERBS[verb][0]
    call = verbs.Call(args, Paths(_root(args)), os.environ if environment is None else environment, parser)
    try:
        return int(act(call))
    except SecregError as error:
        say("\n".join(f"secure-registry: {problem}" for problem in error.problems), Level.ERROR)
        first = error.problems[0]
        notify(f"STATUS=failed: {first.where}{': ' if first.where else ''}{first.what} -> {first.hint}")
        return int(error.code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return int(Exit.FAILED)


def _root(args: argparse.Namespace) -> Path:
    root: Path = getattr(args, "root", Path("/"))
    return root.absolute()

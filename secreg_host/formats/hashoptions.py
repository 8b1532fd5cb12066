"""The options of Apache's htpasswd(1) that say how a password is hashed: of its command, and of the setting OPT."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import NoReturn

from secreg_host.base.errors import bad_input
from secreg_host.formats import hashcost
from secreg_host.formats.users import Scheme


@dataclass(frozen=True)
class HashChoice:
    """How a password is to be hashed. cost: rounds, or bcrypt's log2 of rounds; None: our default."""

    scheme: Scheme = Scheme.SHA512
    cost: int | None = None


KNOWN = "write one of: -5, -5 -r ROUNDS, -2, -2 -r ROUNDS, -B, -B -C COST"


class _Parser(argparse.ArgumentParser):
    def error(self, _: str) -> NoReturn:
        raise bad_input("OPT", "a word of it is no option of htpasswd for a hash, or two do not go together", KNOWN)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    group = parser.add_argument_group("hash").add_mutually_exclusive_group()
    for flag, scheme, about in (
        ("-5", Scheme.SHA512, "sha512-crypt (the default)"),
        ("-2", Scheme.SHA256, "sha256-crypt"),
        ("-B", Scheme.BCRYPT, "bcrypt"),
        ("-m", Scheme.APR1, "Apache's MD5; weak"),
        ("-s", Scheme.SHA, "SHA-1 without salt; weak"),
        ("-d", Scheme.CRYPT, "DES crypt, 8 characters; weak"),
    ):
        group.add_argument(flag, dest="scheme", action="store_const", const=scheme, help=about)
    group.add_argument("-p", dest="plain", action="store_true", help="plain text: refused")
    parser.add_argument("-C", dest="cost", type=int, metavar="COST", help="cost of bcrypt, 4 to 17")
    rounds = f"rounds of -2 and -5, 1000 to {hashcost.ROUNDS}"
    parser.add_argument("-r", dest="rounds", type=int, metavar="ROUNDS", help=rounds)


def chosen(args: argparse.Namespace) -> bool:
    """Whether `args` hold any of the options."""
    return bool(args.scheme or args.plain) or args.cost is not None or args.rounds is not None


def choice_of(args: argparse.Namespace) -> HashChoice:
    """The hash that the options ask for. Raises BadInput for a bad cost, and for plain text."""
    scheme = args.scheme or Scheme.SHA512
    if args.plain:
        raise bad_input("-p", "passwords are never stored in plain text", "leave -p out")
    if args.cost is not None:
        if scheme is not Scheme.BCRYPT:
            raise bad_input("-C", "it goes with -B only", "add -B; or use -r ROUNDS, which goes with -5 and -2")
        if not 4 <= args.cost <= 17:
            raise bad_input("-C", "the cost is not from 4 to 17", "write, for example: -B -C 12")
        return HashChoice(scheme, args.cost)
    if args.rounds is not None:
        if scheme not in (Scheme.SHA512, Scheme.SHA256):
            raise bad_input("-r", "it goes with -5 and -2 only", "add one of them; or use -C COST, which goes with -B")
        if not 1000 <= args.rounds <= hashcost.ROUNDS:
            wrong = f"the rounds are not from 1000 to {hashcost.ROUNDS}"
            raise bad_input("-r", wrong, "write, for example: -5 -r 100000")
        return HashChoice(scheme, args.rounds)
    return HashChoice(scheme)


def split_options(opt: str) -> HashChoice:
    """The hash that the setting OPT asks for, such as `-B -C 12`. Raises BadInput."""
    parser = _Parser(add_help=False)
    add(parser)
    parser.add_argument("-b", action="store_true")  # the original's OPT may hold them; a setup knows what to do
    parser.add_argument("-c", action="store_true")
    try:
        return choice_of(parser.parse_args(shlex.split(opt)))
    except ValueError:
        raise bad_input("OPT", "a quote or a backslash in it is not closed", KNOWN) from None

"""`secure-registry htpasswd`."""

from __future__ import annotations

import argparse
import sys

from secreg_host.apply import report as reports
from secreg_host.base import files, marks, reserve
from secreg_host.base.errors import Exit
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import htpasswd, instance, printing
from secreg_host.command.call import Call
from secreg_host.formats import hashoptions
from secreg_host.wanted import adoption
from secreg_host.wanted.parts import settings as settings_part
from secreg_host.wanted.settings import Settings

ABOUT = "add, change, remove or check users, with the options of Apache's htpasswd"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of Apache's htpasswd to `parser`."""
    htpasswd.build_parser(parser)


def run(call: Call) -> int:
    """Change users; the change serves at once, and an apply follows by itself."""
    one = instance.of(call)
    paths = one.host.paths

    environment = adoption.only(call.environment, adoption.OF_HASH if call.args.words else adoption.OF_USER)

    def settings() -> Settings:  # a user is removed whatever is wrong with them
        return settings_part.read(Snapshot(paths), environment)

    given = settings() if not call.args.words else Settings()
    request = htpasswd.request_of(call.args, paths.htpasswd, given.username, given.password)
    own = None
    if request.file is not None and request.file.resolve() == paths.htpasswd.resolve():
        files.make_directory(paths.state, 0o700)
        own = htpasswd.Place(paths.state, reserve.of_state(paths))
    before = marks.mark(paths.htpasswd)
    code = htpasswd.run(
        call.args, request, lambda: hashoptions.split_options(settings().opt), sys.stdin, sys.stdout, own
    )
    if code != Exit.DONE or marks.mark(paths.htpasswd) == before:
        return code
    found, count = one.let_users_count()
    printing.findings(found)
    print("it counts when the registry runs" if count is None else printing.users(count, found))
    if count is not None and (back := printing.held_back(reports.load(paths))):
        print(f"held back: {', '.join(back)}; see: secure-registry status")
    return Exit.DEGRADED if any(finding.kind == "unproven" for finding in found) else Exit.DONE

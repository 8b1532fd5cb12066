"""Where the command begins. `watch` runs for years, `ask` at each save: each verb loads what it needs, and no more."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
"""What type checkers take for typing's, which takes as long to load as all that `ask` needs."""

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secreg_host.base.paths import Paths


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["ask"]:
        from secreg_host.watchdog import ask

        return ask.main()
    if sys.flags.no_site:  # the launcher's -S: where Debian's libraries are, `ask` need not know
        import site

        site.main()
    if arguments == ["watch"]:
        from secreg_host.watchdog import watch

        return _lasting(watch.main)
    if arguments == ["observe"]:
        from secreg_host.observe import observer

        return _lasting(observer.main)
    if arguments == ["copy-audit"]:
        from secreg_host.observe.audit import service

        return _lasting(service.main)
    if arguments == ["queue"]:
        from secreg_host.queue import serve

        return _lasting(serve.main)
    if arguments in (["manifests"], ["manifests", "-"]):
        from secreg_host.push import serve as pushing

        return _lasting(pushing.main if len(arguments) == 1 else pushing.beside)
    if arguments == ["--version"]:
        from secreg_host import __version__

        print(f"secure-registry {__version__}")
        return 0
    gc.disable()  # nothing that is imported is garbage, now or later
    from secreg_host.command import cli

    cli.build_parser(*(cli.typed(arguments) if arguments != ["ready"] else ("apply",)))
    gc.freeze()
    gc.enable()
    if arguments == ["ready"]:
        from secreg_host.command import ready

        return _lasting(ready.main)
    return cli.main(arguments)


def _lasting(run: Callable[[Paths], int]) -> int:
    """What systemd runs for years; what it can't do is said in a line."""
    import logging

    from secreg_host.base import journal
    from secreg_host.base.errors import SecregError
    from secreg_host.base.paths import Paths

    journal.start()
    try:
        return run(Paths())
    except SecregError as error:
        said = "\n".join(f"secure-registry: {problem}" for problem in error.problems)
        logging.getLogger(__name__).error(said)
        return int(error.code)

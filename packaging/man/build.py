"""Build what is made from the program's own words: `build.py DIRECTORY` writes the manual pages and completions.

The pages come from the parser of the command line and from the settings' own descriptions, by docutils; the
completions of bash, zsh and fish come from argcomplete, which asks the command itself.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

import argcomplete  # noqa: E402
from docutils.core import publish_string  # noqa: E402
from docutils.writers import manpage  # noqa: E402

from secreg_host import __version__  # noqa: E402
from secreg_host.base import quoting, templating  # noqa: E402
from secreg_host.command import cli, helptext  # noqa: E402
from secreg_host.wanted import settings  # noqa: E402

NAME = "secure-registry"
PAGES = (f"{NAME}.8", f"{NAME}.conf.5")
COMPLETIONS = {"bash": f"bash/{NAME}", "zsh": f"zsh/_{NAME}", "fish": f"fish/{NAME}.fish"}


def escaped(text: str) -> quoting.Quoted:
    """`text` as reStructuredText that says just that."""
    return quoting.Quoted(re.sub(r"([\\*`|_])", r"\\\1", text))


def options(parser: argparse.ArgumentParser) -> Iterator[dict[str, str]]:
    """The options and arguments that `parser` shows, each as its spelling and what it does."""
    for action in parser._actions:
        if action.help is argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
        spelled = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        if action.choices and not action.option_strings:
            spelled = " | ".join(map(str, action.choices))
        yield {"spelled": escaped(spelled + value), "about": escaped(action.help or "")}


def shown_commands(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
) -> Iterator[tuple[argparse.Action, argparse.ArgumentParser]]:
    """Commands as the help lists them; one that has actions is followed by these."""
    for shown in subparsers._choices_actions:
        one = subparsers.choices[shown.dest]
        inner = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
        if not inner:
            yield shown, one
        for actions in inner:
            yield from shown_commands(actions)


def commands(parser: argparse.ArgumentParser) -> Iterator[dict[str, object]]:
    """The commands that `parser` shows, each with its usage and options."""
    subparsers = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    common = {option["spelled"] for option in options(parser)}
    for shown, one in shown_commands(subparsers):
        usage = " ".join(one.format_usage().split()).removeprefix("usage: ").replace(" [-h] [--root DIR] [--debug]", "")
        yield {
            "usage": [escaped(f"{NAME} {line.strip()}") for line in usage.split(f"{NAME} ")[1:]],
            "about": escaped(" ".join((one.description or shown.help or "").split())),
            "options": [option for option in options(one) if option["spelled"] not in common],
        }


def keys() -> Iterator[dict[str, str]]:
    """The settings, each with what it means and its default."""
    default = settings.Settings()
    for key in settings.KEYS:
        value = getattr(default, key.field)
        told = "" if value in ((), "") or "Default:" in key.about else f" Default: {value}."
        about = " ".join(key.about.split())
        yield {"name": key.name, "about": escaped(about + told), "example": key.shown}


def page(name: str, day: str) -> bytes:
    """The manual page `name` in roff."""
    parser = cli.build_parser()
    text = templating.render(
        TOP / "packaging/man",
        f"{name}.rst.j2",
        help=helptext,
        options=list(options(parser)),
        commands=list(commands(parser)),
        keys=list(keys()),
        escaped=escaped,
        version=__version__,
        day=day,
    ).decode()
    strict = {"report_level": 2, "halt_level": 2, "output_encoding": "utf-8"}
    return bytes(publish_string(text, writer=manpage.Writer(), settings_overrides=strict))


def completion(shell: str) -> str:
    """The completion script of `shell`. argcomplete before 3.0 knows zsh only by way of zsh's emulation of bash."""
    if shell == "zsh" and int(str(getattr(argcomplete, "__version__", "2")).split(".")[0]) < 3:
        code = argcomplete.shellcode([NAME], shell="bash")
        first = "_bash_complete -o nospace -o default -o bashdefault -F _python_argcomplete"  # it is loaded by a TAB
        return f"#compdef {NAME}\nautoload -U bashcompinit && bashcompinit\n{code}\n{first}\n"
    return str(argcomplete.shellcode([NAME], shell=shell))


def main() -> int:
    target = Path(sys.argv[1])
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = time.strftime("%Y-%m-%d", time.gmtime(epoch))
    for name in PAGES:
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(page(name, day))
    for shell, place in COMPLETIONS.items():
        path = target / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(completion(shell))
    return 0


if __name__ == "__main__":
    sys.exit(main())

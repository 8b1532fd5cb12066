"""What is typed to look at images: list, show, usage, check."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from secreg_host.base.errors import Exit, Problem, SecregError, bad_input
from secreg_host.command import asking, images
from secreg_host.command.call import Call
from secreg_host.command.images import Image
from secreg_host.host.host import Host
from secreg_host.images import looking, mending, pushers, targets, usage
from secreg_host.images.mending import Cut
from secreg_host.images.overview import Overview
from secreg_host.images.targets import Target
from secreg_host.upkeep import source

if TYPE_CHECKING:  # it loads much that a list does without
    from secreg_host.upkeep.checking import Checked


def run(call: Call) -> int:
    """Do what `action` says."""
    return {"list": _list, "show": _show, "usage": _usage, "check": _check}[call.args.action](call)


def _store(call: Call) -> tuple[Host, Path]:
    host = call.host()
    place = source.place(host, "they can't be looked at from here")
    source.check_restored(host, place)
    return host, place


def _found(
    host: Host, place: Path, name: str | None, meanwhile: Callable[[Overview], object] = lambda _: None
) -> Overview:
    """What is in the store; meanwhile: as in looking.everything. Raises SecregError where there is no repository
    `name`, if there is one given."""
    found = looking.everything(host, place, meanwhile)
    if name is not None and name not in found.repositories:
        raise SecregError(f"there is no repository {name}", "see which there are: secure-registry images list")
    return found


def _known(host: Host) -> pushers.Pushers:
    return pushers.read(host.paths.log / "access.json")


def _list(call: Call) -> int:
    args, wanted = call.args, None
    if args.repository is not None:
        wanted = targets.parse(args.repository)
        if wanted.tag or wanted.digest:
            raise bad_input(args.repository, "is more than a repository", "type: secure-registry images show")
    host, place = _store(call)
    name = wanted.repository if wanted else None
    made: list[str] = []

    def make(found: Overview) -> None:
        if name is None or name in found.repositories:
            every = images.images(found, _known(host), name or "")
            made[:] = images.listing(every, as_json=args.json, untagged=args.untagged)

    found = _found(host, place, name, make)
    if found.news:
        make(found)
    print("\n".join(made))
    return _unread(found, place)


def _unread(found: Overview, place: Path) -> int:
    """Say what could not be read; the exit code."""
    if not found.wrong:
        return Exit.DONE
    from secreg_host.command import printing

    hint = "see what else the registry can't read or write: secure-registry images check"
    printing.warnings([Problem(str(place), f"{why}: what is there is left out", hint) for why in found.wrong.values()])
    return Exit.DEGRADED


def _show(call: Call) -> int:
    wanted = targets.parse(call.args.image)
    host, place = _store(call)
    found = _found(host, place, wanted.repository)
    chosen = [one for one in images.images(found, _known(host), wanted.repository) if _is_meant(one, wanted)]
    if wanted.digest and not chosen and wanted.digest in found.repositories[wanted.repository].revisions:
        chosen = [images.child(found, wanted.repository, wanted.digest)]
    if not chosen and (wanted.tag or wanted.digest):
        hint = f"see which there are: secure-registry images list {wanted.repository} --untagged"
        raise SecregError(f"there is no image {call.args.image}", hint)
    for number, one in enumerate(chosen):
        if number and not call.args.json:
            print()
        history = looking.history(host, place, one.repository, one.tag) if one.tag else []
        images.shown(images.detail(found, one, history), as_json=call.args.json)
    return Exit.DONE


def _is_meant(one: Image, wanted: Target) -> bool:
    if wanted.digest:
        return one.digest == wanted.digest
    return not wanted.tag or one.tag == wanted.tag


def _usage(call: Call) -> int:
    host, place = _store(call)
    found, sizes = looking.everything(host, place), looking.sizes(host, place)
    if call.args.by:
        images.by_repository(usage.repositories(found, sizes), as_json=call.args.json)
    else:
        from secreg_host.upkeep import tending

        days = tending.settings(host).trash_days
        images.used(usage.whole(found, sizes), looking.room(host, place), days, as_json=call.args.json)
    return _unread(found, place)


def _check(call: Call) -> int:
    from secreg_host.command import checks  # these load much that a list does without
    from secreg_host.upkeep import checking, holding, progress, tending

    args = call.args
    host, place = _store(call)
    if args.repair:
        place = tending.images(host)
    with holding.shared(host.paths.space, "images check"):
        shown = progress.to_terminal(wanted=not args.json)
        found = checking.check(host, place, shown, read_data=args.read_data)
        mended = _mend(host, place, found) if args.repair else []
        if mended:
            found = checking.check(host, place, shown, read_data=False, hashed=found.hashed)
    checks.told(found, place, mended, as_json=args.json)
    return Exit.DONE if found.is_whole else Exit.DEGRADED


def _mend(host: Host, place: Path, found: Checked) -> list[str]:
    """Mend what can be; what was done. What tags are is judged by their history as it was left, so that is last."""
    names = {one.repository for one in found.broken} | {one.repository for one in found.cut}
    done = [f"{one} is back, which gc had moved away when it was ended" for one in looking.back(host, place)]
    done += looking.mend_links(host, place, names)
    doubtful = []
    for one in looking.cut(host, place, [(one.repository, one.tag) for one in found.cut]):
        if digest := mending.newest(one.was) or _asked(one):
            became = looking.mend(host, place, one, digest)
            done += [f"{one.repository}:{one.tag} is {became}"] if became else []
        else:
            doubtful.append((one.repository, one.tag))
    return done + looking.mend_links(host, place, names, doubtful)


def _asked(one: Cut) -> str:
    """What somebody at a terminal says that a tag is; "": nothing."""
    if not sys.stdin.isatty():
        return ""
    for was in one.was:
        question = f"Was {one.repository}:{one.tag} {was.digest}, pushed {images.date(was.seconds)}?"
        if was.whole and asking.agreed(question):
            return was.digest
    return ""

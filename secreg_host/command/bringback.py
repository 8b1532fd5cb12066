"""Bringing a backup back: images are put together and proven beside those that serve, the configuration is written
beside, too; then the registry is stopped for as long as a few renames take, and starts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.apply import apply
from secreg_host.apply.activate import Stage
from secreg_host.apply.wish import Wish
from secreg_host.base import attributes, files, quoting
from secreg_host.base.errors import BadInput, Exit, Note, Problem, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import amounts, backups, printing
from secreg_host.command.instance import Instance
from secreg_host.command.restoring import Order, Plan
from secreg_host.generation import generations
from secreg_host.images import imagesplace, marker, site
from secreg_host.images.layout import HERE, Tree
from secreg_host.images.site import Site
from secreg_host.observe import look
from secreg_host.upkeep import configuration, holding, present, pulling, refill, unpacking
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.progress import Progress
from secreg_host.upkeep.refill import Refilled, Wanted


@dataclass
class Aside:
    """Where what was replaced is now, the commands that go back to it, and whether the registry was stopped."""

    paths: list[Path] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    stopped: bool = False

    @contextlib.contextmanager
    def told(self, one: Instance) -> Iterator[None]:
        """Say it where the block, once something was stopped or replaced, does not come to its end."""
        try:
            yield
        except BaseException:
            print("".join(f"{line}\n" for line in self._lines(one)), end="", file=sys.stderr, flush=True)
            raise

    def _lines(self, one: Instance) -> Iterator[str]:
        if self.paths:
            yield f"what was there is in {', '.join(map(str, self.paths))}"
        if not (self.back or self.stopped):
            return
        yield "to go back to what was there:" if self.back else "nothing was replaced; to let it serve again:"
        for command in (*(["secure-registry stop"] if self.back and not one.attended else []), *self.back):
            yield f"  {command}"
        yield f"  {one.to_start}{', as before' if one.attended else ''}"


def restore(one: Instance, place: Place, order: Order, found: Plan, progress: Progress) -> int:
    """Bring it back, prove it, and let it serve; the exit code. Raises SecregError where that can't be done."""
    check_possible(one, order, found)
    wanted = Wanted(order.name, order.repository, order.tag, force=order.force)
    good, aside = True, Aside()
    if found.site is None:
        if found.store is not None:
            with holding.shared(one.host.paths.space, "restore"):
                good = _into(one, place, found.store, wanted, progress, HERE)
        if order.repository:
            served = _serve(one, place, order, found) if one.running() else True
            return Exit.DONE if good and served else Exit.DEGRADED
    with contextlib.ExitStack() as stack:
        if found.site is not None:
            stack.enter_context(holding.shared(one.host.paths.space, "restore"))
            good = _built(one, place, found, wanted, progress)
        _replaced(one, order, found, aside)
    with aside.told(one):
        served = _serve(one, place, order, found)
    return Exit.DONE if good and served else Exit.DEGRADED


def check_possible(one: Instance, order: Order, found: Plan) -> None:
    """Raise SecregError for what would fail once all is stopped and half of it replaced."""
    if found.store is not None:
        for wrong in (
            imagesplace.refused(one.host, str(found.store), str(found.store)),
            imagesplace.unwritable(one.host, str(found.store)),
        ):
            if wrong:
                raise SecregError(*wrong)
    moved = [*present.replaced(one.host.paths, found.items)] if order.config else []
    moved += [found.store / site.TOP] if found.store is not None and found.site is not None else []
    for path in moved:
        if os.path.ismount(path):
            hint = f"unmount it for as long as this takes; or mount it one level above: findmnt {quoting.shell(path)}"
            raise SecregError(f"{path} is to be replaced, and something is mounted there", hint)
        if command := attributes.fixed(path.parent, path):
            hint = f"let it go, and type this again: {command}"
            raise SecregError(f"{path} is to be replaced, and is fixed in its place", hint)


def _check_still(one: Instance, order: Order, found: Plan) -> None:
    """Raise SecregError where that is not so any more, or what is in the way came meanwhile: it may take hours."""
    check_possible(one, order, found)
    way = present.in_the_way(one.host.paths, found.items) if order.config else []
    full = found.site is not None and not found.there.placed and marker.look(str(found.store)).images
    if not order.force and (way or full):
        new = ", ".join(map(str, [*way[:3], *([found.store] if full else [])]))
        hint = "to move that aside, too, and go on: --force"
        raise BadInput([Problem(str(one.host.paths.root), f"it has something of its own now: {new}", hint)])


def _built(one: Instance, place: Place, found: Plan, wanted: Wanted, progress: Progress) -> bool:
    """Put all images together, beside, and prove them; whether all is as it was."""
    assert found.store is not None and found.site is not None
    tree = HERE
    if not found.there.placed:
        found.site = site.begin(one.host, found.site)
        tree = found.site.tree
    return _into(one, place, found.store, wanted, progress, tree)


def _into(one: Instance, place: Place, store: Path, wanted: Wanted, progress: Progress, tree: Tree) -> bool:
    """Put images into the store `tree` in the directory `store`, and prove them; whether all is as it was."""
    host, everything = one.host, not wanted.repository
    done = (
        refill.refill(host, place, store, wanted, progress, tree) if not (everything and tree == HERE) else Refilled()
    )
    broken = refill.proof(host, place, store, wanted, progress, tree)
    anew = frozenset(one.digest for one in broken if one.digest not in ("", *done.failed) and not one.repository)
    if anew:  # of its size, and with other bytes
        done.size += refill.refill(host, place, store, wanted, progress, tree, anew).size
        broken = refill.proof(host, place, store, wanted, progress, tree)
    printing.warnings([_kept(tag, force=wanted.force) for tag in done.kept])
    broken = [_why(flaw, done) for flaw in broken if f"{flaw.repository}:{flaw.tag}" not in done.kept]
    hint = f"secure-registry backup verify {place.path}"
    printing.warnings(backups.problems(broken, "it is not as it should be", hint))
    size = amounts.bytes_of(done.size)
    repositories, tags = amounts.numbered(done.repositories, "repositories"), amounts.numbered(done.tags, "tags")
    print(f"images: {repositories}, {tags}, {size} copied; {'not all' if broken else 'all'} proven", flush=True)
    return not broken and not done.kept


def _why(flaw: Broken, done: Refilled) -> Broken:
    return flaw._replace(why=done.failed.get(flaw.digest, flaw.why))


def _kept(tag: str, *, force: bool) -> Problem:
    if force:
        return Problem(tag, "is not whole in the backup: it stays the image that it is here", "take another one: --at")
    return Problem(tag, "is another image here, and stays that", "to take that of the backup: --force")


def _replaced(one: Instance, order: Order, found: Plan, aside: Aside) -> None:
    """Put what is beside in the place of what is there. What can fail does so before anything is stopped."""
    paths = one.host.paths
    same = found.about.get("machine", "") == configuration.machine(paths) != ""
    with contextlib.ExitStack() as stack:
        stack.enter_context(files.lock(paths.lock, "restore"))
        staged = None
        if order.config:
            staged = stack.enter_context(unpacking.staged(paths, found.items, same_machine=same))
        _check_still(one, order, found)
        stack.enter_context(aside.told(one))
        if one.running():
            again = "if this does not come to its end, type it again, or: secure-registry start"
            print(f"stopping secure-registry; {again}", flush=True)
            aside.stopped = True
            one.stop()
        if staged is not None:
            _configure(staged, aside)
        if found.site is not None:
            _place(one, found.site, aside, placed=found.there.placed)
    if staged is not None and not same:
        what = "what was put into files of clients on the old machine is not put into those of this one"
        hint = "see which clients of this host trust it: secure-registry trust check"
        printing.warnings([Note("trust", what, hint)])


def _configure(staged: unpacking.Staged, aside: Aside) -> None:
    """Put the configuration in its place."""
    try:
        staged.put(f"{datetime.now(UTC):%Y%m%d-%H%M%S}")
    finally:
        aside.paths += staged.done.aside
        aside.back += staged.done.back
        for path in staged.done.aside:
            print(f"what was there is in {path}", flush=True)
    print(f"configuration: {amounts.numbered(staged.done.count, 'files')}", flush=True)
    printing.warnings(staged.done.notes)


def _place(one: Instance, built: Site, aside: Aside, *, placed: bool) -> None:
    """Put the images in their place."""
    before = site.place(one.host, built) if not placed else None
    if before is not None:
        now, was, new = map(quoting.shell, (built.images / site.TOP, before, built.path))
        aside.paths.append(before)
        aside.back.append(f"mv -T {now} {new} && mv -T {was} {now}")
        print(f"the images that were there are in {before}", flush=True)
    site.done(one.host, built)


def _serve(one: Instance, place: Place, order: Order, found: Plan) -> bool:
    """Let it serve, and pull an image as a client; whether that came."""
    if one.attended:
        if one.running():
            one.start()
        else:
            print(f"start it as before: {one.to_start}")
        return True
    if not order.repository:
        wish = Wish("restore", {}, create=True, new_store=True)
        report = apply.apply(Stage(one.host, one.services), wish, one.follow)
        printing.findings(report.findings)
        one.start()
        if one.enable():
            print("secure-registry starts with the host from now on")
    code = printing.serving(one.host)
    generation = generations.load(one.host, generations.current_name(one.host))
    if generation is not None and order.config:
        printing.warnings(look.moved(one.host, Snapshot(one.host.paths), generation.settings))
    if found.store is None or generation is None:
        return code == Exit.DONE
    image = pulling.image(place, Wanted(order.name, order.repository, order.tag))
    if image is None:
        return code == Exit.DONE
    if wrong := pulling.pull(one.host, generation, found.store, image):
        printing.warnings([Problem(image.name, f"can't be pulled: {wrong}", "secure-registry status")])
        return False
    print(f"pulled {image.name} through the public port: {amounts.bytes_of(image.size)}, each byte as it was")
    return code == Exit.DONE

"""What of `secure-registry images` deletes, and brings back: rm, trash, undelete."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from secreg_host.base.errors import Exit, Problem, SecregError, bad_input
from secreg_host.command import ages, asking, collected, instance, printing
from secreg_host.command.amounts import bytes_of, numbered
from secreg_host.command.call import Call
from secreg_host.command.collected import Sum
from secreg_host.command.imagewords import IMAGE
from secreg_host.formats.registryconf import Keeping
from secreg_host.images import deleting, emptying, targets, undeleting
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.emptying import Choice
from secreg_host.images.layout import HERE
from secreg_host.images.survey import Entry
from secreg_host.images.targets import Target
from secreg_host.upkeep import descriptors, holding, tending
from secreg_host.upkeep.tending import Freeing


def run(call: Call) -> int:
    """Do what `action` says."""
    if call.args.action == "trash":
        return {"list": _list, "empty": _empty}[call.args.what](call)
    return {"rm": _rm, "undelete": _undelete}[call.args.action](call)


def _rm(call: Call) -> int:
    host, args = call.host(), call.args
    wanted = [targets.parse(said) for said in args.images]
    for one in wanted:
        if args.all and (one.tag or one.digest):
            raise bad_input(str(one), "is not the name of a repository", "leave --all away")
        if not (args.all or one.tag or one.digest):
            hint = f"name a tag or a digest; the whole repository: secure-registry images rm --all {one}"
            raise bad_input(str(one), "would be a whole repository", hint)
    images, keeping = tending.images(host), tending.keeping(host)
    plan = list(tending.as_owner(host, images, lambda: deleting.plan(HERE, wanted, whole=args.all)))
    collected.deleted(plan, "to be deleted")
    if args.dry_run:
        return Exit.DONE
    if not (args.yes or _agreed(wanted, plan, whole=args.all)):
        print("nothing was changed")
        return Exit.FAILED

    def work() -> Iterable[Entry]:
        return deleting.delete(HERE, plan, "images rm")

    done = collected.deleted(tending.as_owner(host, images, work), "deleted")
    remembered = _remembered(call, keeping, done)
    printing.warnings(remembered)
    if len(done) < len(plan):
        hint = "see what is there now, and delete again: secure-registry images list"
        printing.warnings(
            [Problem("images rm", f"{len(plan) - len(done)} of {len(plan)} were changed meanwhile: they stay", hint)]
        )
        return Exit.DEGRADED
    named = str(wanted[0]) if len(wanted) == 1 else IMAGE
    print(f"it is in the trash; to bring it back: secure-registry images undelete {named}")
    return Exit.DEGRADED if remembered else Exit.DONE


def _remembered(call: Call, keeping: Keeping, done: list[Entry]) -> tuple[Problem, ...]:
    """Why the registry still gives out what went: it remembers blobs, and can't be made to forget them."""
    if all(entry[0] == "tag" for entry in done):
        return ()
    try:
        if keeping.redis is not None:
            descriptors.forget(keeping.redis)
        instance.forgetting(call, keeping)()
    except SecregError as error:
        return error.problems
    return ()


def _agreed(wanted: list[Target], plan: list[Entry], *, whole: bool) -> bool:
    if whole:
        return all(asking.typed_again(str(one), f"All of repository {one} goes.") for one in wanted)
    count = sum(1 for entry in plan if entry[0] != "layer")
    return asking.agreed(f"Delete these {count} tags and manifests?" if count > 1 else "Delete it?")


def _undelete(call: Call) -> int:
    host, wanted = call.host(), targets.parse(call.args.image)
    work: Callable[[], Iterable[Entry]] = lambda: undeleting.undelete(HERE, wanted)  # noqa: E731
    if not collected.deleted(tending.as_owner(host, tending.images(host), work), "brought back"):
        print(f"{wanted}: all of it is there already")
    return Exit.DONE


def _list(call: Call) -> int:
    host = call.host()
    found = list(tending.as_owner(host, tending.images(host), lambda: emptying.listed(HERE)))
    if call.args.json:
        keys = ("run", "deleted", "why", "repository", "kind", "name", "digest", "bytes")
        said = [dict(zip(keys, (*entry[:-1], int(entry[-1])), strict=True)) for entry in found]
        print(json.dumps(said, indent=2))
        return Exit.DONE
    for _, when, why, repository, kind, name, digest, size in found:
        at = f"{repository}:{name} ({digest})" if kind == "tag" else f"{repository}@{name}"
        print(f"{when}  {at}  {bytes_of(int(size))}  by {why}")
    if not found:
        print("nothing is in the trash")
    return Exit.DONE


def _empty(call: Call) -> int:
    host, args = call.host(), call.args
    wanted = targets.parse(args.image) if args.image else Target("")
    if wanted.tag:
        raise bad_input(str(wanted), "names a tag, which takes no space", "name a digest, or the repository alone")
    keeping, images = tending.keeping(host), tending.images(host)
    choice = Choice(wanted.repository, wanted.digest, ages.seconds("--older", args.older))
    wish = Wish(grace=0, uploads=keeping.uploads)
    if args.dry_run:
        planned = Collector(HERE, wish, lambda: None)
        found = Sum().counting(tending.as_owner(host, images, lambda: planned.plan_emptying(choice)))
        print(f"to be taken out of the trash for good: {numbered(found.counts['emptied'], 'links')}")
        return _was_there(found, choice, wanted)
    forget = instance.forgetting(call, keeping)
    what = str(wanted) if wanted.repository else "all of it"
    if not (args.yes or asking.agreed(f"Empty the trash ({what}) for good?")):
        print("nothing was changed")
        return Exit.FAILED
    with holding.alone(host.paths.space, "images trash empty") as lock:
        freeing = Freeing(host, images, keeping, lock, forget)
        found = Sum().counting(
            freeing.as_owner(lambda settle: Collector(HERE, wish, settle, settle.doing).empty(choice))
        )
    size = bytes_of(found.sizes["freed"])
    links, blobs = numbered(found.counts["emptied"], "links"), numbered(found.counts["freed"], "blobs")
    print(f"out of the trash: {links}; freed: {blobs} ({size})")
    return _was_there(found, choice, wanted)


def _was_there(found: Sum, choice: Choice, wanted: Target) -> int:
    """Raises SecregError where nothing was there of what was named."""
    if choice.repository and not choice.older and not found.counts["emptied"]:
        raise SecregError(f"{wanted}: nothing of it is in the trash", undeleting.SEE)
    return Exit.DONE

"""What can be typed after `secure-registry images`: its actions, and their options. Nothing is loaded for it but the
parser: what an action does, and all that it needs, is in a module of its own (looks, tags, deletes)."""

from __future__ import annotations

import argparse

Actions = argparse._SubParsersAction
"""What actions are added to."""

LOOKS = {
    "list": "list the images of all repositories, or of one",
    "show": "say all that is known of one image, or of each of a repository",
    "usage": "say what the bytes are there for, and what deleting would free",
    "check": "say which images are broken, and mend tags that say nothing any more",
}
TAGS = {"tag": "give an image one more tag, in the same repository"}
DELETES = {
    "rm": "delete tags, or images by their digests: they go to the trash",
    "trash": "say what is in the trash, or free it for good",
    "undelete": "bring back from the trash what was deleted, or collected, last",
}
IMAGE = "REPO[:TAG|@DIGEST]"


def add(actions: Actions[argparse.ArgumentParser]) -> None:
    """Add all of them to the `actions` of the command."""
    _looks(actions)
    _tags(actions)
    _deletes(actions)


def _looks(actions: Actions[argparse.ArgumentParser]) -> None:
    made = {name: actions.add_parser(name, help=about) for name, about in LOOKS.items()}
    for one in made.values():
        one.add_argument("--json", action="store_true", help="as JSON")
    made["list"].add_argument("repository", metavar="REPO", nargs="?", help="this repository alone")
    made["list"].add_argument("--untagged", action="store_true", help="also those without a tag (--json has them)")
    made["show"].add_argument("image", metavar=IMAGE, help="an image, or all of a repository")
    made["usage"].add_argument("--by", choices=("repo",), help="of each repository")
    made["check"].add_argument("--read-data", action="store_true", help="read and hash all bytes, too: this takes long")
    made["check"].add_argument(
        "--repair",
        action="store_true",
        help="let tags that say nothing be what they were last; asks where that is in doubt, on a terminal only",
    )


def _tags(actions: Actions[argparse.ArgumentParser]) -> None:
    made = actions.add_parser("tag", help=TAGS["tag"])
    made.add_argument("image", metavar="REPO:TAG|REPO@DIGEST", help="what it is to be")
    made.add_argument("tag", metavar="NEWTAG", help="the tag")
    made.add_argument("--yes", action="store_true", help="also where it is another image's; else a terminal is asked")


def _deletes(actions: Actions[argparse.ArgumentParser]) -> None:
    rm, trash, undelete = (actions.add_parser(name, help=about) for name, about in DELETES.items())
    rm.add_argument("images", metavar="REPO:TAG|REPO@DIGEST", nargs="+", help="a tag, or a manifest with its tags")
    rm.add_argument("--all", action="store_true", help="whole repositories, by their names: asks for each to be typed")
    inner = trash.add_subparsers(metavar="WHAT", dest="what", required=True, title="what")
    listed, empty = inner.add_parser("list", help="what is there"), inner.add_parser("empty", help="free it for good")
    listed.add_argument("--json", action="store_true", help="as JSON")
    empty.add_argument("image", metavar="REPO[@DIGEST]", nargs="?", help="of this repository, or this manifest alone")
    empty.add_argument("--older", metavar="AGE", default="0s", help="only what has been there for longer: 3d")
    for one in (rm, empty):
        one.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
        one.add_argument("--yes", action="store_true", help="do not ask, which it does on a terminal only")
    undelete.add_argument("image", metavar=IMAGE, help="a tag, a manifest with its tags, or all of a repository")

"""What a driver of storage offers to whoever looks after images: the seam at which Swift or S3 is added.

distribution gives every driver the same tree of keys (docker/registry/v2/..., see layout), so what is where is known
once, by `layout.Repository` and `layout.Tree`, and where it is in the trash by `trash.Trash` and `purging.Purge`. A
driver need know nothing of images: it lists, looks and reads; it takes a key away to a name in the trash, brings it
back, or removes it for good. What it should know:

- Keys and names in the trash are text, of the same store. A key that is not there is no error: None, False, or nothing.
  Whatever else goes wrong is an OSError, with the key as its file name, so that it is told as one of a disk.
- `list` is one level (S3: a delimiter of "/"; Swift the same), and stands for any number of pages.
- A mark is another one whenever its key was written, or, of a folder, a name in it came or went. On a disk that is
  inode and times; S3 and Swift have an ETag and a date for an object, and nothing for a folder: their mark is "",
  which stands for "look yourself, each time". Nobody may need one: they only save reading.
- A stamp says the same of one object, for who decides by it what goes. An engine of objects makes it of what it has:
  inode is a number made of the ETag, written and changed are the date. What lies in the trash is still the same by its
  stamp (`is_same`), unless somebody wrote it since: a copy has a date of its own, so that of before is kept with it.
- Never look and then delete: a registry keeps bytes that are there, and writes only a link. So `hide` takes away what
  is as it was seen, and `purge` removes only what was hidden, after somebody looked again for what names it. On a disk
  that is a second name and a look at both sides of the move; on S3 a CopyObject with x-amz-copy-source-if-match, and
  a DeleteObject with If-Match. A link that was written again has the same bytes, and ETag: there dates are compared,
  too. What slips through lies in the trash, from where the manifest that names it has it back (bringing).
- Whoever is killed leaves what is under its key, or under its name, or under both, and never under neither: the second
  one is there, for good, before the first one goes. All that one call is given needs one wait for the disk alone.
- Where the engine has no space that can be known (S3), `space` is None; what is done about a full disk is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from secreg_host.base.marks import Stamp


class Seen(NamedTuple):
    """What is known of a key without reading it. size: its bytes; seconds: when it was written, since the epoch; mark:
    another one whenever it was ("": that can't be told)."""

    size: int
    seconds: int
    mark: str


class Space(NamedTuple):
    """Bytes that a store may have, and those that are left."""

    size: int
    free: int


class Move(NamedTuple):
    """An object that is to go to the trash. key: where it is; name: where it is to be, which is nothing else's; seen:
    its stamp when it was found to be needed by nobody."""

    key: str
    name: str
    seen: Stamp


class Reader(Protocol):
    """What only looks at a store."""

    def list(self, folder: str) -> list[str]:
        """The names of the folders right in `folder`, in order."""

    def look(self, key: str) -> Seen | None:
        """What is at `key`: an object, or a folder with its names; None: nothing."""

    def mark(self, keys: Iterable[str]) -> str:
        """One mark of all that is at `keys`, in their order: another one whenever that of one of them is, or one comes
        or goes ("": of one of them that can't be told)."""

    def read(self, key: str, limit: int) -> bytes | None:
        """The first `limit` bytes of the object `key`; None: there is none."""

    def space(self) -> Space | None:
        """How much room there is; None: that can't be known."""


class Driver(Reader, Protocol):
    """The same, and what takes away and brings back."""

    def stamp(self, key: str) -> Stamp | None:
        """What tells the object `key` from another one in its place, and from itself once it was written; None: there
        is none."""

    def hide(self, moves: Iterable[Move]) -> Sequence[Move]:
        """Take each away that is as it was seen; those that went. What was written meanwhile is where it was."""

    def restore(self, name: str, key: str) -> bool:
        """Bring what lies at `name` back to `key`; whether there is something at `key` now. What came there meanwhile
        stays, and `name` goes."""

    def purge(self, name: str) -> int | None:
        """Remove the object `name` for good; its bytes, or None: there is none."""

    def move_folder(self, source: str, target: str, last: str) -> bool:
        """Take the folder `source` with all that is below it to `target`, into the trash or out of it; False: it is
        gone. Its object `last` says what it is: it comes to `target` as the last one, and leaves `source` first, or
        with all else, so that nobody sees a part of it for the whole."""

    def purge_folder(self, folder: str) -> bool:
        """Remove the folder with all that is below it for good: at once, or, where an engine can't, in the order of
        names, by which what says what a tag is goes first. False: it is gone."""

"""What a driver of storage offers to whoever looks after images: the seam at which Swift or S3 is added.

distribution gives every driver the same tree of keys (docker/registry/v2/..., see layout), so what is where is known
once, by `layout.Repository` and `layout.Tree`, and a driver need know nothing of images. It lists, looks and reads;
who changes something hides a key in the trash, brings it back, or purges it. One more driver is one more module of this
folder, with a class that has these methods, and a line where a store is opened. What it should know:

- Keys are text, as `layout` makes them. A key that is not there is no error: None, or nothing. Whatever else goes wrong
  is an OSError, with the key as its file name, so that it is told as one of a disk.
- `list` is one level (S3: a delimiter of "/"; Swift the same), and stands for any number of pages.
- A mark is another one whenever its key was written, or, of a folder, a name in it came or went. On a disk that is
  inode and times; S3 and Swift have an ETag and a date for an object, and nothing for a folder: their mark is "",
  which stands for "look yourself, each time". Nobody may need one: they only save reading.
- Never look and then delete: a registry keeps bytes that are there, and writes only a link. So `hide` takes away by a
  rename (a copy and a removal in an object store), and `purge` removes only what was hidden, after somebody looked
  again for what names it.
- Where the engine has no space that can be known (S3), `space` is None; what is done about a full disk is left out.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


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


class Reader(Protocol):
    """What only looks at a store."""

    def list(self, folder: str) -> list[str]:
        """The names of the folders right in `folder`, in order."""

    def look(self, key: str) -> Seen | None:
        """What is at `key`: an object, or a folder with its names; None: nothing."""

    def read(self, key: str, limit: int) -> bytes | None:
        """The first `limit` bytes of the object `key`; None: there is none."""

    def space(self) -> Space | None:
        """How much room there is; None: that can't be known."""


class Driver(Reader, Protocol):
    """The same, and what takes away and brings back."""

    def hide(self, key: str) -> str:
        """Take the object `key` away into the trash, at once and as it is; the name that it has there, which no other
        one ever had."""

    def restore(self, name: str) -> bool:
        """Bring `name` back from the trash to where it was, unless something is there again; whether it is back."""

    def purge(self, name: str) -> int:
        """Remove `name` from the trash for good; the bytes that this freed."""

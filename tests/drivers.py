"""What each driver of storage keeps to (secreg_host/images/driver.py), tried on one."""

from __future__ import annotations

from collections.abc import Callable

from secreg_host.images.driver import Driver, Move

LAST = "current/link"


def keeps_to_it(driver: Driver, write: Callable[[str, bytes], object], base: str) -> None:
    """Try all of it in the empty store whose blobs, repositories and trash are below `base`; write: has an object."""
    folder, there = f"{base}/repositories/a/_manifests/tags/1", f"{base}/_trash/1/repositories/a"
    key, name, none = f"{folder}/{LAST}", f"{there}/_layers/1", f"{base}/none"
    assert [driver.look(none), driver.read(none, 9), driver.stamp(none), driver.purge(none)] == [None] * 4
    write(key, b"one"), write(f"{folder}/index/one/link", b"was")
    _objects(driver, write, key, name)
    _folders(driver, folder, f"{there}/_tags/1")


def _objects(driver: Driver, write: Callable[[str, bytes], object], key: str, name: str) -> None:
    def hidden() -> list[str]:
        seen = driver.stamp(key)
        assert seen is not None
        went = [one.key for one in driver.hide([Move(key, name, seen), Move(f"{key}2", f"{name}2", seen)])]
        assert seen.is_same(driver.stamp(name)), "what is in the trash has its stamp"
        return went

    seen = driver.stamp(key)
    assert seen is not None and driver.hide([]) == []
    assert hidden() == [key] and driver.look(key) is None and driver.read(name, 2) == b"on"
    assert driver.restore(name, key) and driver.read(key, 9) == b"one" and driver.look(name) is None
    assert driver.restore(name, key), "it is there"
    write(key, b"other")
    assert driver.hide([Move(key, name, seen)]) == [], "that is another one"
    assert driver.read(key, 9) == b"other" and driver.look(name) is None
    assert hidden() == [key]
    write(key, b"new")
    assert driver.restore(name, key) and driver.read(key, 9) == b"new" and driver.look(name) is None
    assert hidden() == [key] and driver.purge(name) == 3 and driver.purge(name) is None
    assert not driver.restore(name, key) and driver.look(key) is None
    write(key, b"one")


def _folders(driver: Driver, folder: str, there: str) -> None:
    def are(where: str) -> list[bytes | None]:
        return [driver.read(f"{where}/{name}", 9) for name in (LAST, "index/one/link")]

    above = folder.rpartition("/")[0]
    assert driver.list(above) == ["1"] and are(folder) == [b"one", b"was"]
    assert driver.move_folder(folder, there, LAST) and not driver.move_folder(folder, there, LAST)
    assert driver.list(above) == [] and driver.look(folder) is None and are(there) == [b"one", b"was"]
    assert driver.move_folder(there, folder, LAST) and not driver.move_folder(there, folder, LAST)
    assert are(folder) == [b"one", b"was"] and are(there) == [None, None]
    assert driver.purge_folder(folder) and not driver.purge_folder(folder)
    assert driver.look(folder) is None and are(folder) == [None, None]

"""A store is looked at, and mended, as the registry's user; what was found is root's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base import marks
from secreg_host.base.process import Account
from secreg_host.host.host import Host
from secreg_host.images import looking
from secreg_host.images.layout import Repository, Tree
from secreg_host.images.overview import Overview
from secreg_host.images.trash import Trash
from tests.stores import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


def served(host: Host, store: Store) -> Host:
    """The same with the store of somebody else, where we may be somebody else."""
    if os.geteuid() != 0:
        return host
    for parent in store.tree.root.parents[:2]:
        parent.chmod(0o755)
    for each in (store.tree.root, *store.tree.root.rglob("*")):
        os.chown(each, 65534, 65534)
    return replace(host, accounts=replace(host.accounts, registry=Account("nobody", 65534, 65534)))


@pytest.mark.parametrize("many", [3, 70])
def test_several_look_and_the_next_look_knows(
    store: Store, host: Host, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "COARSE", -60.0)
    monkeypatch.setattr(looking, "LOOKERS", 3)
    names = {f"r{number}" for number in range(many)} | {"r1/below/it"}
    for name in names:
        store.push(name, name, "1")
    host = served(host, store)
    first = looking.everything(host, store.tree.root)
    again = looking.everything(host, store.tree.root)
    assert set(first.repositories) == set(again.repositories) == names and (first.news, again.news) == (True, False)
    weights = [{one: (*weight,) for one, weight in each.weights["r1/below/it"].items()} for each in (first, again)]
    assert weights[0] == weights[1] != {}
    found = host.paths.looked.stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, os.geteuid())


@pytest.mark.promise("looks-are-quick-again")
def test_what_was_there_is_told_while_it_is_looked_at_again(
    store: Store, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, and right unless there are news. Seen red: with what is read of the record while others look left
    out."""
    monkeypatch.setattr(marks, "COARSE", -60.0)
    store.push("a", "one", "1")
    host, told = served(host, store), list[Overview]()
    first = looking.everything(host, store.tree.root)
    again = looking.everything(host, store.tree.root, lambda found: told.append(replace(found)))
    assert not again.news and told[0].repositories == again.repositories == first.repositories
    assert told[0].manifests == again.manifests == first.manifests != {}
    assert told[0].weights == again.weights != {}
    store.push("b", "two", "1")
    served(host, store)
    news = looking.everything(host, store.tree.root, told.append)
    assert news.news and (set(told[1].repositories), set(news.repositories)) == ({"a"}, {"a", "b"})


@pytest.mark.promise("as-the-registrys-user")
def test_what_its_user_can_not_read_is_not_read(store: Store, host: Host) -> None:
    """Seen red: looked at by root."""
    store.push("a", "one", "1")
    store.push("b", "two", "1")
    host = served(host, store)
    secret = Path(Repository(store.tree, "b").tagged)
    if os.geteuid() == 0:
        os.chown(secret, 0, 0)
    secret.chmod(0o700 if os.geteuid() == 0 else 0)
    found = looking.everything(host, store.tree.root)
    secret.chmod(0o755)
    assert set(found.repositories) == {"a"} and found.wrong["b"].endswith("_manifests/tags: Permission denied")


@pytest.mark.promise("as-the-registrys-user")
@pytest.mark.promise("as-the-registrys-user")
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is root's")
def test_no_link_leads_out_of_the_store(store: Store, host: Host, tmp_path: Path) -> None:
    """Whoever took over the registry has links in the store; but for one with which the administrator himself keeps it
    elsewhere. Seen red: what a link led to was mended, and removed."""
    store.push("a", "one", "1")
    host = served(host, store)
    outside = Tree(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (store.tree.root / "docker").rename(outside.root / "docker")
    link = store.tree.root / "docker"
    link.symlink_to("../outside/docker")
    assert set(looking.everything(host, store.tree.root).repositories) == {"a"}, "it is root's"
    os.lchown(link, 65534, 65534)
    assert looking.everything(host, store.tree.root).repositories == {}
    link.unlink()
    (outside.root / "docker").rename(link)
    trash, away = Path(Trash(store.tree).path), tmp_path / "away"
    for folder in (trash, away):
        folder.mkdir()
        os.chown(folder, 65534, 65534)
    (away / f"sha256-{64 * 'a'}").write_text("not ours")
    os.chown(away / f"sha256-{64 * 'a'}", 65534, 65534)
    (trash / "purging").symlink_to("../../../../../away")
    assert looking.back(host, store.tree.root) == []
    assert [one.name for one in away.iterdir()] == [f"sha256-{64 * 'a'}"]


def test_what_is_mended_is_its_users(store: Store, host: Host) -> None:
    one, repository = store.push("a", "one", "1"), Repository(store.tree, "a")
    link = Path(repository.current("1"))
    link.unlink()
    host = served(host, store)
    (cut,) = looking.cut(host, store.tree.root, [("a", "1")])
    assert looking.mend(host, store.tree.root, cut, one) == one
    assert link.read_text() == one and link.stat().st_uid == host.accounts.registry.uid
    assert looking.history(host, store.tree.root, "a", "1") == [(one, 1000)]


@pytest.mark.promise("check-names-what-is-broken")
def test_what_the_registry_can_not_write_is_all_counted(store: Store, host: Host) -> None:
    """Seen red: by a sample."""
    for number in range(40):
        store.push(f"r{number}", "one", "1")
    host, one = served(host, store), Repository(store.tree, "r39")
    for path in (one.tagged, f"{one.tagged}/1"):
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        Path(path).chmod(0o755 if os.geteuid() == 0 else 0o555)
    found = looking.foreign(host, store.tree.root)
    for path in (one.tagged, f"{one.tagged}/1"):
        Path(path).chmod(0o755)
    assert found is not None and "r39/_manifests/tags and 1 more: pushes fail" in found[0]

"""Space is freed while clients push and pull: by hand, each day, under a cache, on a full disk, after a kill.

What is seen is of our own programs: each is tried on one release by `make check`, on all by `make chaos-images`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.booted.registry import Load, Registry
from tests.booted.test_backup import Pushers
from tests.hosts import docker

HERE = Path(__file__).parent
STORAGE = "/var/lib/secure-registry/storage"
NOW = ("gc", "--untagged-older", "0s", "--grace", "0s", "--purge", "--yes")
GC = "secure-registry-gc.service"
REDIS = "redis: {addr: '127.0.0.1:6379'}\n"
CACHE = "  cache:\n    blobdescriptor: inmemory\n"


def keeper(registry: Registry, *words: str, input: str = "") -> Any:
    for name in ("load.py", "pushers.py", "keeper.py"):
        registry.machine.copy_in(HERE / name, f"/root/{name}")
    said = registry.machine.run("python3", "/root/keeper.py", *words, input=f"{registry.password}\n{input}")
    return json.loads(said.stdout)


def missing(registry: Registry, kept: object) -> object:
    return keeper(registry, "check", input=json.dumps(kept))


def collect(registry: Registry, *words: str) -> dict[str, Any]:
    done = registry.command(*(words or NOW), "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def size(registry: Registry, place: str = STORAGE) -> int:
    """Kilobytes; without the megabyte that is kept for a full disk."""
    return int(registry.machine.run("du", "-sk", "--exclude=reserve", place).stdout.split()[0])


def blobs(registry: Registry, place: str = STORAGE) -> set[str]:
    found = registry.machine.run("find", f"{place}/docker/registry/v2/blobs", "-name", "data").stdout.split()
    return {f"sha256:{path.split('/')[-2]}" for path in found}


def owned(registry: Registry, place: str = STORAGE) -> None:
    """All of the store is the registry's, whoever looked after it."""
    user = "secure-registry"
    odd = registry.machine.run("find", f"{place}/docker", "!", "-user", user, "-o", "!", "-group", user)
    assert odd.stdout == ""


def whole(registry: Registry) -> None:
    done = registry.command("images", "check", "--read-data")
    assert done.returncode == 0, (done.stdout, done.stderr)


def serving(registry: Registry) -> str:
    """The process of the registry that serves: it moves once before it is looked again, and once before bytes go."""
    return registry.pid(f"secure-registry-registry@{registry.component('registry')['facts']['slot']}")


def expect_cache(registry: Registry) -> None:
    registry.edit("docker-registry.yml", "  maintenance:\n", f"{CACHE}  maintenance:\n")
    assert registry.command("reload").returncode == 0


@pytest.mark.one_release(-1)
def test_ci_that_overwrites_latest_a_hundred_times_ends_with_one_image(registry: Registry) -> None:
    """By a client that asks for nothing else, so that its space can be measured; real clients pull what is left."""
    first = keeper(registry, "ci", "0", "1")
    before = size(registry)
    layers = [*first, *keeper(registry, "ci", "1", "100")]
    assert size(registry) > before + 99 * 50
    assert collect(registry)["manifests"] == 99
    assert blobs(registry) & {*layers} == {layers[-1]} and size(registry) < before + 100
    owned(registry)
    whole(registry)
    assert registry.login().returncode == 0
    ref = "127.0.0.1/real:1"
    for seed in (1, 2):
        docker.make_image(registry.machine, ref, [(2_000_000, 0), (2_000_000, seed)])
        assert docker.push(registry.machine, ref).returncode == 0
    assert collect(registry)["freed_bytes"] > 1_500_000
    docker.remove_image(registry.machine, ref)
    assert docker.pull(registry.machine, ref).returncode == 0


@pytest.mark.one_release(0)
def test_while_four_push_nothing_is_broken_and_what_is_needed_stays(registry: Registry) -> None:
    kept = keeper(registry, "push")
    with Pushers(registry) as pushers:
        layers = keeper(registry, "ci", "0", "30")
        for _ in range(2):
            done = registry.command(*NOW)
            assert done.returncode in (0, 3), (done.stdout, done.stderr)
    counted = pushers.counted
    assert min(counted[name] for name in ("pushed", "skipped", "mounted", "deleted")) > 5, counted
    assert [one for one in counted["refused"] if not one.endswith(": 400")] == [], "with no grace a push may be refused"
    whole(registry)
    collect(registry)
    assert missing(registry, kept) == []
    assert blobs(registry) & {*layers} == {layers[-1]}
    owned(registry)


@pytest.mark.one_release(-1)
def test_what_was_purged_is_away_within_seconds(registry: Registry) -> None:
    """The front keeps files open for five of them."""
    [old], [_] = keeper(registry, "ci", "0", "1"), keeper(registry, "ci", "1", "2")
    path = f"/v2/ci/app/blobs/{old}"
    assert registry.status_of(path, user="docker") == "200"
    collect(registry)
    registry.machine.wait_for("it is away", lambda: registry.status_of(path, user="docker") == "404", 6)


@pytest.mark.promise("gc-by-itself")
@pytest.mark.one_release(0)
def test_each_day_by_itself(registry: Registry) -> None:
    machine, kept = registry.machine, keeper(registry, "push")
    assert machine.unit_state("secure-registry-gc.timer") == "active"
    assert machine.run("systemctl", "list-timers", "--no-legend", "secure-registry-gc.timer").stdout.strip()
    for words in ("stop", "mask"):
        assert registry.systemctl(words, "secure-registry-gc.timer").returncode == 0
    assert registry.command("reload").returncode == 0
    assert machine.unit_state("secure-registry-gc.timer") == "inactive", "who turned it off has it off, and not failed"
    assert registry.systemctl("unmask", "secure-registry-gc.timer").returncode == 0
    assert registry.command("reload").returncode == 0
    assert machine.unit_state("secure-registry-gc.timer") == "active"
    left = keeper(registry, "cut", "0")
    assert registry.systemctl("start", GC).returncode == 0
    assert blobs(registry) >= {*left}, "it is younger than GC_GRACE"
    assert "; gc freed 0.0 MB on " in registry.command("status").stdout
    registry.expected.append("GC_GRACE")
    registry.put("secure-registry.conf", "GC_GRACE=0s\nTRASH_DAYS=1\n")
    done = registry.command("reload")
    assert "GC_GRACE: a push that takes longer than 0s is refused" in done.stderr and "GC_GRACE=24h" in done.stderr
    with_lock = ["flock", "--shared", "/run/secure-registry/space", "sleep", "15"]
    machine.run("systemd-run", "--unit=backup", *with_lock)
    machine.wait_for("the lock", lambda: machine.run("lslocks").stdout.count("space"))
    held = registry.command("gc", "--grace", "0s")
    assert held.returncode == 1 and "a backup is made of the images" in held.stderr
    assert registry.systemctl("start", GC).returncode == 0, "the timer's run waits for it"
    assert blobs(registry) >= {*left} and missing(registry, kept) == []
    assert registry.status_of(f"/v2/ci/app/blobs/{left[0]}", user="docker") == "404"
    owned(registry)
    shown = machine.run("systemctl", "show", GC, "-p", "IOSchedulingClass,CPUSchedulingPolicy,Result").stdout.split()
    assert {*shown} == {"Result=success", "IOSchedulingClass=3", "CPUSchedulingPolicy=5"}
    registry.put("docker-registry.yml", "version: 0.1\nstorage: {inmemory: {}}\n")
    assert registry.command("reload").returncode == 0
    for _ in range(2):
        assert registry.systemctl("start", GC).returncode == 0
    said = [entry["MESSAGE"] for entry in machine.journal() if "no space is freed by itself" in entry["MESSAGE"]]
    assert len(said) == 1 and "on no file system of this host" in said[0]
    assert "last gc failed" not in registry.command("status").stdout
    registry.systemctl("stop", "secure-registry")
    assert machine.unit_state("secure-registry-gc.timer") == "inactive"
    registry.systemctl("start", "secure-registry")


@pytest.mark.promise("as-the-registrys-user")
@pytest.mark.one_release(-1)
@pytest.mark.parametrize("link", ["purging", "reserve"])
def test_a_link_in_the_trash_leads_nowhere(registry: Registry, link: str) -> None:
    """Whoever took over the registry may have made it. Seen red: all that was in that directory was gone, by root's
    command and by the unit."""
    machine, away = registry.machine, f"/var/tmp/{link}"
    assert registry.command("gc").returncode == 0
    place = f"{STORAGE}/docker/registry/v2/_trash/{link}"
    lines = f"mkdir {away}; touch {away}/rest-1 {away}/sha256-{64 * 'a'}; rm -rf {place}; ln -s {away} {place}"
    owner = machine.run("stat", "-c", "%U", STORAGE).stdout.strip()
    machine.run("su", "-s", "/bin/sh", owner, "-c", lines)
    before = machine.run("find", away).stdout
    registry.command("gc", "--grace", "0s", "--purge", "--yes")
    registry.systemctl("start", GC)
    assert machine.run("find", away).stdout == before != ""
    machine.run("rm", "-rf", place, away)
    registry.systemctl("reset-failed", GC)
    assert registry.command("gc").returncode == 0


@pytest.mark.one_release(-1)
def test_a_run_that_was_killed_is_told_and_gone_on_with(registry: Registry) -> None:
    machine, kept = registry.machine, keeper(registry, "push")
    registry.expected.append(rf"{GC}: (Main process exited|Failed with result)|GC_GRACE|Failed to start")
    registry.put("secure-registry.conf", "GC_GRACE=0s\nTRASH_DAYS=1\n")
    registry.command("reload")
    for number in range(2):
        layers = keeper(registry, "cut", str(number))
        registry.systemctl("start", "--no-block", GC)
        hidden = ("find", STORAGE, "-path", f"*/_trash/*/_layers/{layers[0].replace(':', '-')}")
        machine.wait_for("it is hidden", lambda hidden=hidden: machine.run(*hidden, check=False).stdout)  # type: ignore[misc]
        registry.systemctl("kill", "--signal=KILL", GC)
        machine.wait_for("its end", lambda: machine.unit_state(GC) == "failed")
        if number == 0:
            found_state = registry.component("store")
            assert found_state["condition"] == "warning" and "the last gc failed: it was ended" in found_state["said"]
            assert missing(registry, kept) == []
            # whoever was told that a layer is there pushes the manifest that names it: the next run brings it back
            assert registry.systemctl("start", GC).returncode == 0
            assert registry.component("store")["condition"] == "ok"
    assert registry.systemctl("start", GC).returncode == 0
    assert missing(registry, kept) == []
    whole(registry)
    owned(registry)


@pytest.mark.promise("gc-under-a-cache")
@pytest.mark.one_release(-1)
def test_under_a_cache_in_memory_the_registry_moves(registry: Registry) -> None:
    """And no request is dropped. Without that, what was purged is pushed again, and is broken."""
    expect_cache(registry)
    kept, layers = keeper(registry, "push"), keeper(registry, "ci", "0", "20")
    before = serving(registry)
    with Load(registry) as load:
        found = collect(registry)
    refused = re.compile("HTTP 40[04], not")  # with no grace: what has no manifest yet goes
    assert [one for one in load.failures if not refused.search(one.what)] == []
    assert load.requests > 20 and found["manifests"] >= 19
    assert serving(registry) != before
    assert keeper(registry, "ci", "0", "20") == layers, "all of it is pushed again"
    assert blobs(registry) >= {*layers}
    whole(registry)
    assert missing(registry, kept) == []
    with Pushers(registry) as pushers:
        for _ in range(2):
            assert registry.command(*NOW).returncode in (0, 3)
    assert [one for one in pushers.counted["refused"] if not one.endswith(": 400")] == []
    whole(registry)
    registry.expected.append("GC_GRACE")
    registry.put("secure-registry.conf", "GC_GRACE=0s\n")
    registry.command("reload")
    before, [left] = serving(registry), keeper(registry, "cut", "30")
    assert registry.systemctl("start", GC).returncode == 0, "the timer's unit has it move, too"
    assert serving(registry) != before
    assert registry.status_of(f"/v2/ci/app/blobs/{left}", user="docker") == "404"
    whole(registry)
    running = registry.machine.run("systemctl", "list-units", "--no-legend", "secure-registry-registry@*").stdout
    assert running.count("running") == 1, running
    registry.edit("docker-registry.yml", CACHE, "")
    assert registry.command("reload").returncode == 0


@pytest.mark.promise("gc-under-a-cache")
@pytest.mark.one_release(-1)
def test_under_a_cache_in_redis_its_keys_go(registry: Registry) -> None:
    """By root's command and by the unit: what tends the images has no way to Redis from inside the store."""
    machine = registry.machine
    machine.install("redis-server", "python3-redis")
    registry.edit("docker-registry.yml", "  maintenance:\n", f"{CACHE.replace('inmemory', 'redis')}  maintenance:\n")
    registry.edit("docker-registry.yml", "version: 0.1\n", f"version: 0.1\n{REDIS}")
    registry.put("secure-registry.conf", "GC_GRACE=0s\n")
    registry.expected.append("GC_GRACE")
    assert registry.command("reload").returncode == 0
    kept = keeper(registry, "push")

    def remembered(digests: list[str]) -> set[str]:
        keys = machine.run("redis-cli", "keys", "*").stdout
        return {digest for digest in digests if digest in keys}

    layers = keeper(registry, "ci", "0", "5")
    assert remembered(layers) == {*layers}
    assert collect(registry)["freed_blobs"] >= 4 and remembered(layers) == set()
    assert keeper(registry, "ci", "0", "5") == layers, "all of it is pushed again"
    left = keeper(registry, "cut", "40")
    assert remembered(left) == {*left}
    assert registry.systemctl("start", GC).returncode == 0 and remembered(left) == set()
    whole(registry)
    assert missing(registry, kept) == []
    registry.systemctl("stop", "redis-server")
    away = registry.command("gc")
    assert away.returncode == 1 and "until then no space is freed" in away.stderr, away
    registry.systemctl("start", "redis-server")
    registry.edit("docker-registry.yml", REDIS, "")
    registry.edit("docker-registry.yml", CACHE.replace("inmemory", "redis"), "")
    assert registry.command("reload").returncode == 0


@pytest.mark.promise("default-without-a-cache")
def test_the_default_remembers_nothing(registry: Registry) -> None:
    assert "cache" not in registry.machine.read("/etc/secure-registry/docker-registry.yml")


@pytest.mark.promise("gc-on-a-full-disk")
@pytest.mark.one_release(0)
def test_a_full_disk_elsewhere(registry: Registry) -> None:
    """Images in another directory, which is full: space is freed there, or it is said why not."""
    machine, place = registry.machine, "/srv/images"
    registry.expected += ["No space left on device", "no space left", "level=error"]
    machine.run("mkdir", place)
    machine.run("mount", "-t", "tmpfs", "-o", "size=40m,mode=0750", "disk", place)
    machine.run("chown", "secure-registry:", place)
    registry.edit("docker-registry.yml", STORAGE, place)
    assert registry.command("reload").returncode == 0
    first, last = keeper(registry, "ci", "0", "50"), keeper(registry, "ci", "50", "51")
    collect(registry)
    assert blobs(registry, place) & {*first, *last} == {*last}
    keeper(registry, "ci", "0", "50"), keeper(registry, "ci", "50", "51")
    machine.run("sh", "-c", f"cat /dev/zero > {place}/filled || true")
    assert machine.run("df", "--output=avail", place).stdout.split()[-1] == "0"
    registry.breaks("store")
    found = collect(registry)
    assert found["freed_bytes"] > 50 * 50_000, "by what was kept for that"
    owned(registry, place)
    machine.run("rm", "-rf", f"{place}/docker/registry/v2/_trash/reserve")
    machine.run("sh", "-c", f"cat /dev/zero >> {place}/filled || true")
    full = registry.command(*NOW)
    told = {0: "", 1: "free some space on that disk otherwise", 3: "the disk is full: once more frees more"}
    assert full.returncode in told and told[full.returncode] in full.stderr, full
    machine.run("rm", f"{place}/filled")
    whole(registry)
    registry.edit("docker-registry.yml", place, STORAGE)
    assert registry.command("reload").returncode == 0
    machine.run("umount", place)


@pytest.mark.one_release(-1)
def test_images_below_a_home_directory(registry: Registry) -> None:
    """The timer's unit gets there, too."""
    machine, place = registry.machine, "/home/images"
    machine.run("install", "-d", "-o", "secure-registry", "-g", "secure-registry", "-m", "750", place)
    registry.edit("docker-registry.yml", STORAGE, place)
    registry.put("secure-registry.conf", "GC_GRACE=0s\n")
    registry.command("reload")
    registry.expected.append("GC_GRACE")
    left = keeper(registry, "cut", "0")
    assert registry.systemctl("start", GC).returncode == 0
    assert registry.status_of(f"/v2/ci/app/blobs/{left[0]}", user="docker") == "404"
    owned(registry, place)

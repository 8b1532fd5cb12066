"""Images for the dockerd of a host, made of nothing and without the internet, and the commands that move them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO

from tests.hosts.commands import CommandFailed, Commands, Result

_BLOCK = 1 << 20
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def make_image(machine: Commands, ref: str, layers: Sequence[tuple[int, int]] = ((10_000, 1),)) -> str:
    """Load an image called `ref` into dockerd; returns its id.

    Each layer is (size in bytes, seed): one file of incompressible data that only depends on the seed. Streams, so that
    gigabytes need no memory; about 100 MB/s (`docker push` compresses at 40 MB/s, `docker pull` does 100). It has no
    program in it: it can be pushed and pulled, not run.
    """
    tagged = ref if ":" in ref.rpartition("/")[2] else f"{ref}:latest"
    argv = machine.command("docker", "load", "--quiet")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as load:
        assert load.stdin is not None and load.stdout is not None
        try:
            _write_archive(load.stdin, tagged, layers)
            load.stdin.close()
        except BrokenPipeError:
            pass  # docker says why
        said = load.stdout.read().decode(errors="replace")
    if load.returncode != 0:
        raise CommandFailed(Result(["docker", "load"], load.returncode, said, ""))
    return image_id(machine, ref)


def image_id(machine: Commands, ref: str) -> str:
    """The id of a local image: the digest of its configuration, thus of its content."""
    return machine.run("docker", "image", "inspect", "--format={{.Id}}", ref).stdout.strip()


def remove_image(machine: Commands, ref: str) -> None:
    """Forget a local image, so that the next pull has to fetch it."""
    machine.run("docker", "image", "rm", "--force", ref)


def login(machine: Commands, registry: str, user: str, password: str) -> Result:
    """`docker login`; look at the exit status."""
    argv = ("docker", "login", "--username", user, "--password-stdin", registry)
    return machine.run(*argv, input=password, check=False)


def push(machine: Commands, ref: str, timeout: float = 600) -> Result:
    """`docker push`; look at the exit status."""
    return machine.run("docker", "push", ref, check=False, timeout=timeout)


def pull(machine: Commands, ref: str, timeout: float = 600) -> Result:
    """`docker pull`; look at the exit status."""
    return machine.run("docker", "pull", ref, check=False, timeout=timeout)


def _write_archive(target: IO[bytes], ref: str, layers: Sequence[tuple[int, int]]) -> None:
    """What `docker save` writes: layers first, so that their digests are known when the configuration's turn comes."""
    names, digests = [], []
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for number, (size, seed) in enumerate(layers):
            layer = _Layer(size, seed)
            names.append(f"{number}/layer.tar")
            info = tarfile.TarInfo(names[-1])
            info.size = layer.size
            archive.addfile(info, layer)
            digests.append(f"sha256:{layer.digest.hexdigest()}")
        config = {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": digests},
        }
        _add(archive, "config.json", config)
        _add(archive, "manifest.json", [{"Config": "config.json", "RepoTags": [ref], "Layers": names}])


def _add(archive: tarfile.TarFile, name: str, value: object) -> None:
    data = json.dumps(value).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


class _Layer(io.BufferedReader):
    """A tar file with one file in it, made as it is read; `digest` is of what was read."""

    def __init__(self, size: int, seed: int) -> None:
        self.digest = hashlib.sha256()
        padded = -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self.size = tarfile.BLOCKSIZE + padded + 2 * tarfile.BLOCKSIZE
        super().__init__(_Chunks(_layer(size, seed, padded - size)), _BLOCK)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.digest.update(data)
        return data


class _Chunks(io.RawIOBase):
    """Pieces of data as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _layer(size: int, seed: int, padding: int) -> Iterator[bytes]:
    info = tarfile.TarInfo(f"layer-{seed}.bin")
    info.size = size
    yield info.tobuf(tarfile.GNU_FORMAT)
    # A block repeated at a distance that gzip can't see, each with its number: as random as needed, much faster.
    block = random.Random(seed).randbytes(_BLOCK - 8)
    for number in range(-(-size // _BLOCK)):
        yield (number.to_bytes(8, "big") + block)[: size - number * _BLOCK]
    yield bytes(padding + 2 * tarfile.BLOCKSIZE)

"""What a registry remembers of blobs in Redis (storage: cache: blobdescriptor: redis): all of it can be taken away, and
is read anew from the store.

The keys are distribution's (registry/storage/cache/redis): `blobs::DIGEST`, `repository::NAME::blobs` and
`repository::NAME::blobs::DIGEST`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from secreg_host.base import distro, names
from secreg_host.base.errors import SecregError
from secreg_host.formats.registryconf import Redis

PATTERNS = ("blobs::*", "repository::*::blobs*")
SECONDS = 10.0
"""How long Redis is waited for."""

EACH = 1000
"""Keys that are asked for, and removed, at once."""


def check(redis: Redis) -> None:
    """Raise SecregError where what is remembered there can't be taken away."""
    with _client(redis) as client:
        client.ping()


def forget(redis: Redis) -> None:
    """Take away all that is remembered there. Raises SecregError."""
    with _client(redis) as client:
        for pattern in PATTERNS:
            found = client.scan_iter(match=pattern, count=EACH)
            while keys := list(itertools.islice(found, EACH)):
                client.delete(*keys)


@contextlib.contextmanager
def _client(redis: Redis) -> Iterator[Any]:
    try:
        import redis as library
    except ImportError as error:
        what = "the registry remembers blobs in Redis, and the library that removes what is gone there is missing"
        raise SecregError(f"{what}: {error}", distro.install("python3-redis")) from error
    client = library.Redis(
        redis.host,
        redis.port,
        db=redis.db,
        username=redis.user or None,
        password=redis.password or None,
        ssl=redis.tls,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
    )
    try:
        yield client
    except (library.RedisError, OSError) as error:
        where = names.place(redis.host, redis.port)
        what = f"the registry remembers blobs in Redis, and {where} does not do as it is told: {error}"
        raise SecregError(
            what, "start it, or see redis: in docker-registry.yml; until then no space is freed"
        ) from error
    finally:
        client.close()

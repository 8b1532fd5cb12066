"""The manifest service at its socket, between the front and the registry. It can be ended at any moment: the socket is
systemd's, who is asked last is started anew by it, and the front asks once more what was under way.

One request at a time for each tag of a repository; what has the store or the registry to wait for is done in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from secreg_host.base import bugs, handed, marks, waiting
from secreg_host.base.journal import notify
from secreg_host.base.paths import Paths
from secreg_host.images import manifests
from secreg_host.push import answers, asked, audit, steps
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked

log = logging.getLogger(__name__)

SOCKET = "secure-registry-manifests.socket"
BACKLOG = 1024
THREADS = 16
AT_ONCE = 48
"""How many manifests are in memory; others wait at the socket."""

BODY_SECONDS = 30.0
"""How long a manifest may take to arrive; the front has all of it before it asks."""

DRAIN_SECONDS = 8.0
"""How long what is under way may take when we are to end: others wait meanwhile for who is started next, and the
registry that the front names to them ends ten seconds after another one took over (activate.WORKERS_SECONDS)."""

ARRIVING_SECONDS = 1.0
"""How long what was begun may take then to arrive."""

LOOK_SECONDS = 5.0
"""Between two signs of life, and looks whether a newer version was installed."""

OLD_SECONDS = 2.0
"""How old this process gets before it ends because it does not see the store: the front asks six, one after the
other."""

FIELD = 64 * 1024
"""Bytes of a header at the most: more than nginx takes of a client's (large_client_header_buffers)."""

TOO_LARGE = answers.refusal(413, "MANIFEST_INVALID", f"a manifest has {manifests.LARGEST} bytes at the most")
BUG = answers.refusal(500, "UNKNOWN", "an error of the registry's own; its journal says more")
GONE = (asyncio.CancelledError, ConnectionError)
"""What tells that who asked has gone."""

_aiohttp = logging.getLogger(f"{__name__}.http")
_aiohttp.propagate, _aiohttp.disabled = False, True
"""The log of the library's: what a client sends must not fill the journal, and bugs of ours are told by us."""

Key = tuple[str, str]


class Turns:
    """One at a time for each key; the others in the order in which they came."""

    def __init__(self) -> None:
        self.locks: dict[Key, asyncio.Lock] = {}
        self.count: Counter[Key] = Counter()

    @contextlib.asynccontextmanager
    async def of(self, *keys: Key) -> AsyncIterator[None]:
        """The turn of whoever comes by `keys`, the first of which is waited for first."""
        async with contextlib.AsyncExitStack() as held:
            for key in keys:
                await held.enter_async_context(self._of(key))
            yield

    @contextlib.asynccontextmanager
    async def _of(self, key: Key) -> AsyncIterator[None]:
        lock = self.locks.setdefault(key, asyncio.Lock())
        self.count[key] += 1
        try:
            async with lock:
                yield
        finally:
            self.count[key] -= 1
            if not self.count[key]:
                del self.locks[key], self.count[key]


class Service:
    """Requests of the front's, until `ended`."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.turns, self.room = Turns(), asyncio.Semaphore(AT_ONCE)
        self.pool = ThreadPoolExecutor(THREADS)
        self.old = waiting.within(OLD_SECONDS)
        self.doing: set[asyncio.Task[Answer | None]] = set()
        self.whole: set[object] = set()  # connections by which a whole request came
        self.idle: set[object] = set()  # those whose last one was answered
        self.came = asyncio.Event()  # one more
        self.server = web.Server(
            self._answer,
            access_log=None,
            max_line_size=FIELD,
            max_field_size=FIELD,
            auto_decompress=False,  # a few bytes would be gigabytes; and the registry takes a manifest as it is
            logger=_aiohttp,
        )

    async def run(self, listener: socket.socket) -> None:
        """Answer what comes by `listener`; what is under way at the end is finished."""
        taking = await asyncio.get_running_loop().create_server(self.server, sock=listener, backlog=BACKLOG)
        await self.ended.wait()
        taking.close()
        await self._arrived()
        await self.server.shutdown(DRAIN_SECONDS)
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def _arrived(self) -> None:
        """Wait for what is being sent, and close other connections: nothing more would be read of them, and the front
        asks whoever is started next."""
        until = waiting.within(ARRIVING_SECONDS)
        while not (until.over or (self.whole | self.idle).issuperset(self.server.connections)):
            self.came.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.came.wait(), until.left)
        for one in self.server.connections:
            if one not in self.whole:
                one.force_close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.idle.discard(request.protocol)
        try:
            answer = await self._serve(request)
        except GONE:
            raise
        except Exception as error:
            bugs.caught(error, "a request for a manifest")
            answer = _response(BUG)
        self.whole.discard(request.protocol)
        self.idle = {request.protocol, *self.idle.intersection(self.server.connections)}
        if self.ended.is_set():
            answer.force_close()
        return answer

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == asked.LIVES:
            return web.Response(status=204)
        took = waiting.stopwatch()
        async with self.room:
            try:
                wanted = asked.read(request.method, request.raw_path, request.raw_headers)
                body = await _body(request)
            except asked.Refused as refused:
                return _response(refused.answer)
            self.whole = {request.protocol, *self.whole.intersection(self.server.connections)}
            self.came.set()
            if body is None:
                return _told(wanted, TOO_LARGE, took())
            wanted = wanted.with_body(body)
            task = asyncio.ensure_future(self._do(wanted))  # it goes on when who asked has gone
            self.doing.add(task)
            task.add_done_callback(self.doing.discard)
            answer = await asyncio.shield(task)
        if answer is None:
            return await self._begin_anew(request)
        return _told(wanted, answer, took())

    async def _do(self, wanted: Asked) -> Answer | None:
        """What is done, by itself; None: this process does not see the store."""
        # of deletions one at a time in a repository: by its digest, many tags go
        all_of_it = [(wanted.repository, "")] if wanted.method == "DELETE" else []
        async with self.turns.of(*all_of_it, (wanted.repository, wanted.reference)):
            try:
                return await asyncio.get_running_loop().run_in_executor(self.pool, steps.done, wanted)
            except steps.Stale as stale:
                log.info(f"what serves is not where it was when this was started: {stale}")
                return None
            except Exception as error:
                bugs.caught(error, "a manifest")
                return BUG

    async def _begin_anew(self, request: web.BaseRequest) -> web.StreamResponse:
        """End, and answer nothing: the front asks whoever is started next, who sees the store as it is."""
        await asyncio.wait((asyncio.get_running_loop().create_future(),), timeout=self.old.left)
        self.ended.set()
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=503)


async def _body(request: web.BaseRequest) -> bytes | None:
    """The manifest that comes along; None: it is too large. It is there with its headers, but for large ones."""
    pieces = _pieces(request)
    return await (pieces if request.content.is_eof() else asyncio.wait_for(pieces, BODY_SECONDS))


async def _pieces(request: web.BaseRequest) -> bytes | None:
    found = bytearray()
    async for piece in request.content.iter_any():
        found += piece
        if len(found) > manifests.LARGEST:
            return None
    return bytes(found)


def _told(wanted: Asked, answer: Answer, milliseconds: float) -> web.Response:
    audit.tell(wanted, answer, milliseconds)
    found = _response(answer)
    found.headers[audit.TOLD] = "1"
    return found


def _response(answer: Answer) -> web.Response:
    found = web.Response(status=answer.status, body=answer.body or None)
    for name, value in answer.headers:
        if name.lower() == "content-type":
            found.headers[name] = value
        else:
            found.headers.add(name, value)
    return found


async def _lasting(listener: socket.socket) -> None:
    """Until SIGTERM, or until a newer version was installed: the next request starts that."""
    service, code = Service(), marks.mark(__file__)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.ended.set)
    running = asyncio.ensure_future(service.run(listener))
    notify("READY=1")
    while not running.done():
        notify("WATCHDOG=1")
        await asyncio.wait((running,), timeout=LOOK_SECONDS)
        if marks.mark(__file__) != code:
            service.ended.set()
    await running


def main(_: Paths) -> int:
    """What secure-registry-manifests.service runs."""
    with handed.listener(SOCKET) as listener:
        asyncio.run(_lasting(listener))
    return 0


def beside(_: Paths) -> int:
    """What an instance in the foreground runs beside it, whose socket is our input."""
    with handed.at_stdin() as listener:
        asyncio.run(_lasting(listener))
    return 0

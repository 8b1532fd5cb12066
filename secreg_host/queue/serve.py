"""The queue at its socket: the front asks it instead of the password check, which it asks in turn, one question for
each processor at a time. Who has gone is taken out before a hash is computed for it; what it can't ask is no yes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

from secreg_host.base import handed, marks
from secreg_host.base.journal import notify
from secreg_host.base.paths import Paths
from secreg_host.formats.users import PROBE
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host import host as hosts
from secreg_host.host import processes
from secreg_host.host.host import Host
from secreg_host.queue import roll, wire
from secreg_host.queue.known import Known
from secreg_host.queue.turns import Question, Rank, Turns

log = logging.getLogger(__name__)

BACKLOG = 4096
HEAD_SECONDS = 10.0
"""How long a question may take to arrive; the front sends it at once."""

WAIT_SECONDS = 25.0
"""How long one may wait for a turn, before it is told that there are too many: the front gives up after 30 s."""

BUSY_SECONDS = 1.0
"""How long it takes to say that there are too many: whoever asks again at once would keep this process at work."""

CHECK_SECONDS = 30.0
"""How long the password check may take for one."""

FULL_SECONDS = 0.01
"""Between two tries to reach a password check that has no room for one more connection."""

LOOK_SECONDS = 5.0
"""Between two signs of life, and looks whether a newer version was installed."""

Answer = asyncio.Future[int]


class Queue:
    """Questions of the front's, answered by the password check of `host`: one for each processor at a time."""

    def __init__(self, host: Host) -> None:
        self.path, self.check = processes.queue_socket(host), processes.auth_socket(host)
        self.width = len(os.sched_getaffinity(0))
        self.live = LiveUsers(host)
        self.turns, self.known, self.roll = Turns(), Known(), roll.Roll(self.live)
        self.checking, self.ended = 0, False
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, listener: socket.socket, ended: asyncio.Event) -> None:
        """Answer what is asked at `listener` until `ended`. Who waits then is let go, and the front asks the check."""
        # start_unix_server would remove the socket, which is systemd's (Python 3.13)
        server = await asyncio.start_server(self._serve, sock=listener, backlog=BACKLOG, limit=wire.LARGEST)
        await ended.wait()
        self.ended = True
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the question that comes by one connection."""
        with (
            contextlib.closing(writer),
            contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError),
        ):
            head = wire.read(await asyncio.wait_for(reader.readuntil(wire.END), HEAD_SECONDS))
            gone = asyncio.ensure_future(reader.read(1))
            code = await self._wait(head, gone)
            if code == wire.BUSY:
                await asyncio.wait((gone,), timeout=BUSY_SECONDS)
            gone.cancel()
            if code is not None:
                writer.write(wire.answer(code))
                await writer.drain()

    async def _wait(self, head: wire.Head, gone: asyncio.Future[bytes]) -> int | None:
        """The answer to a question, once it is its turn; None: who asked has gone meanwhile."""
        users = self.live.epoch
        if users and self.known.a_moment_ago(head.authorization, users, self._now()):
            return wire.YES
        answer: Answer = asyncio.get_running_loop().create_future()
        for lost in self.turns.join(head.client, head.authorization, answer, users, self._rank(head)):
            _answered(lost, wire.BUSY)
        self._go_on()
        await asyncio.wait((answer, gone), timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        self.turns.leave(head.client, head.authorization, answer)
        answer.cancel()
        return None if gone.done() else wire.BUSY

    def _rank(self, head: wire.Head) -> Rank:
        """Its lane. Our own probe is a client that only the front names, by what nobody else has (http.conf.j2)."""
        if head.client == repr(PROBE.encode()):
            return Rank.KNOWN
        said = roll.login(head.authorization)
        return self.known.rank(head.client, said.user if said else b"", self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _go_on(self) -> None:
        """Begin what can be begun."""
        while not self.ended and self.checking < self.width and (question := self.turns.take(self.live.epoch)):
            self.checking += 1
            task = asyncio.ensure_future(self._check(question))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _check(self, question: Question) -> None:
        code = wire.AWAY
        try:
            code = await self._answer(question)
        except (OSError, EOFError, TimeoutError):
            log.debug("the password check does not answer")
        finally:
            self.checking -= 1
            self.turns.done(question)
            for asker in question.askers:
                _answered(asker, code)
            self._go_on()

    async def _connected(self) -> socket.socket:
        """A connection to the password check, once there is room for one (asyncio takes EAGAIN for connected, and it is
        not). Nothing tells when that is: it is tried again. Raises OSError."""
        while True:
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(0)
            try:
                link.connect(str(self.check))
            except BlockingIOError:
                link.close()
                await asyncio.wait((asyncio.get_running_loop().create_future(),), timeout=FULL_SECONDS)
            except BaseException:
                link.close()
                raise
            else:
                return link

    async def _answer(self, question: Question) -> int:
        """What the password check says of `question`. Raises OSError, EOFError, TimeoutError."""
        asked = self.roll.asked(question.ask)
        async with asyncio.timeout(CHECK_SECONDS):
            reader, writer = await asyncio.open_unix_connection(sock=await self._connected())
            with contextlib.closing(writer):
                writer.write(wire.question(asked.authorization))
                code = wire.status(await reader.readuntil(wire.END))
        said = roll.login(question.ask)
        if code == wire.YES and (asked.decoy or said is None):
            code = wire.NO
        if code == wire.NO:
            self.known.wrong(question.client, self._now())
        elif code == wire.YES and said is not None:
            self.known.right(question.client, said.user, self._now())
            self.known.checked(question.ask, question.users, self._now())
        return code


def _answered(answer: object, code: int) -> None:
    """Tell who asked, unless that one has gone."""
    assert isinstance(answer, asyncio.Future)
    if not answer.done():
        answer.set_result(code)


async def _lasting(host: Host, listener: socket.socket) -> None:
    """As a unit of systemd's, until SIGTERM or until a newer version was installed: the next question starts that."""
    ended, code = asyncio.Event(), marks.mark(__file__)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    running = asyncio.ensure_future(Queue(host).run(listener, ended))
    notify("READY=1")
    while not (ended.is_set() or running.done()):
        notify("WATCHDOG=1")
        await asyncio.wait((running,), timeout=LOOK_SECONDS)
        if marks.mark(__file__) != code:
            ended.set()
    await running


def main(paths: Paths) -> int:
    """What secure-registry-queue.service runs."""
    with handed.listener("secure-registry-queue.socket") as listener:
        asyncio.run(_lasting(hosts.discover(paths), listener))
    return 0


@contextlib.contextmanager
def beside(host: Host) -> Iterator[Queue]:
    """The queue of an instance in the foreground, in a thread of its own while the block runs."""
    queue, begun = Queue(host), threading.Event()
    ends: list[Callable[[], object]] = []

    async def run() -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(ended.set))
        begun.set()
        await queue.run(listener, ended)

    with handed.bound(queue.path, host.accounts.front.owner, BACKLOG) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        begun.wait()
        try:
            yield queue
        finally:
            ends[0]()
            thread.join()

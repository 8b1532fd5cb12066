"""Those who guess passwords: some addresses, some connections of each, each asking again as soon as it is answered.

A program of bench.crowd: `port`, `sources`, `connections` of each, `users` whose passwords are guessed.
"""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field

from bench import crowd, load

PAUSE = 0.2
"""Before a connection that was lost is made anew."""

STEP = 0.002
"""Between two new connections: the flood is to be of passwords, not of handshakes."""

LOST = "lost"


@dataclass
class Guessers:
    """All of one process. answers: how many by status; waiting: questions that are not answered yet."""

    port: int
    users: list[str]
    answers: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    async def guess(self, source: str, delay: float) -> None:
        """One connection after the other, without an end."""
        await asyncio.sleep(delay)
        while True:
            try:
                await self._connection(source)
            except (OSError, EOFError, ValueError):
                self.answers[LOST] += 1
            await asyncio.sleep(PAUSE)

    async def _connection(self, source: str) -> None:
        plain = crowd.plain_socket(source)
        plain.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(plain, (load.HOST, self.port))
            reader, writer = await asyncio.open_connection(sock=plain, ssl=load.context(), server_hostname=load.HOST)
        except BaseException:
            plain.close()
            raise
        try:
            while True:
                writer.write(question(random.choice(self.users), secrets.token_hex(8)))
                self.waiting += 1
                try:
                    status, length = answered(await reader.readuntil(b"\r\n\r\n"))
                finally:
                    self.waiting -= 1
                self.answers[status] += 1
                if length is None:
                    return
                await reader.readexactly(length)
        finally:
            writer.transport.abort()


def question(user: str, password: str) -> bytes:
    """What `docker login` asks."""
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"GET /v2/ HTTP/1.1\r\nHost: {load.HOST}\r\nAuthorization: Basic {word}\r\n\r\n".encode()


def answered(head: bytes) -> tuple[str, int | None]:
    """Status and length of an answer by its head; no length where the connection is not used again."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = first.split()[1]
    if "content-length" not in fields or fields.get("connection", "").lower() == "close":
        return status, None
    return status, int(fields["content-length"])


async def _run(port: int, sources: list[str], connections: int, users: list[str]) -> None:
    guessers = Guessers(port, users)
    begin = time.monotonic()
    each = [source for _ in range(connections) for source in sources]
    tasks = [asyncio.create_task(guessers.guess(source, at * STEP)) for at, source in enumerate(each)]
    while not any(task.done() for task in tasks):
        crowd.say(seconds=time.monotonic() - begin, answers=guessers.answers, waiting=guessers.waiting)
        await asyncio.sleep(crowd.EVERY)
    raise RuntimeError("one of the guessers ended")


if __name__ == "__main__":
    asyncio.run(_run(**crowd.told()))

"""What it costs to check a password by a hash, as far as its own parameters say: crypt(5), libxcrypt's yescrypt.

A hash may ask for hours, or for all memory. Nobody gets in by it, for a client does not wait so long; but whoever names
its user keeps a processor at work. The bounds are an estimate for a short password and a processor that is quick today,
never a measurement: the same hash is judged alike on each host and each day, and one by which somebody could get in
anywhere is not too much.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SECONDS = 25.0
"""A client is not kept waiting for longer (queue/serve.py)."""

MEMORY = 1 << 30
"""Bytes for one check: no tool makes a hash that takes more (crypt_gensalt(3), at the highest cost)."""

ROUNDS = 150_000_000
"""Of sha256-crypt and sha512-crypt, in `SECONDS`; a common server does 3,000,000 to 4,000,000 a second."""

COUNTED = (
    (re.compile(r"\$[56]\$rounds=(\d+)\$"), ROUNDS / SECONDS),
    (re.compile(r"\$sha1\$(\d+)\$"), 2.5e6),
    (re.compile(r"\$md5,rounds=(\d+)\$"), 1.2e6),
)
"""Hashes that name their rounds, and how many of these a quick processor does in a second: one and a half times as many
as a common server. Other schemes have as many as they have, or can't have too many (bsdi_crypt: 2^24, two seconds)."""

BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$")
BCRYPT_ROUNDS = 1 << 15
"""2^COST of them; a common server does 20,000 a second."""

YESCRYPT = re.compile(r"\$g?y\$([./0-9A-Za-z]+)\$")
SCRYPT = re.compile(r"\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})")
DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

BLOCKS = 12e6
"""Blocks of 128 bytes, N * r * p, that yescrypt and scrypt do in a second; a common server does 4 to 7 million."""


class Cost(NamedTuple):
    """Of one check: seconds of a processor, and bytes of memory."""

    seconds: float = 0.0
    memory: int = 0


def of(value: str) -> Cost:
    """The cost of hash `value`, where it says one; what can't be read there, crypt(3) refuses at once."""
    for form, rate in COUNTED:
        if found := form.match(value):
            return Cost(int(found[1]) / rate)
    if found := BCRYPT.match(value):
        return Cost((1 << int(found[1])) / BCRYPT_ROUNDS)
    if found := SCRYPT.match(value):
        return _blocks(DIGITS.index(found[1]), _fixed(found[2]), _fixed(found[3]))
    if found := YESCRYPT.match(value):
        return _yescrypt(_numbers(found[1]))
    return Cost()


def too_much(value: str) -> str:
    """What hash `value` asks for that nobody can be let in by; "" if it can be checked."""
    cost = of(value)
    if cost.seconds > SECONDS:
        return f"to check this hash takes longer than a client waits ({SECONDS:.0f} s)"
    return f"to check this hash takes more than {MEMORY >> 30} GiB of memory" if cost.memory > MEMORY else ""


def _blocks(power: int, size: int, lanes: int, passes: int = 1) -> Cost:
    """Of N = 2^power, r = size, p = lanes."""
    return Cost(((size * lanes * passes) << power) / BLOCKS, 128 * size * max(1 << power, lanes))


def _yescrypt(numbers: list[int]) -> Cost:
    """Of the numbers of its parameters: flags, log2(N) - 1, r - 1, then which of p - 2, t - 1 follow (yescrypt_r)."""
    if len(numbers) < 3:
        return Cost()
    _, power, size, *more = numbers
    has = more[0] + 1 if more else 0
    rest = iter(more[1:])
    lanes = next(rest, 0) + 2 if has & 1 else 1
    passes = next(rest, 0) + 2 if has & 2 else 1
    return _blocks(min(power + 1, 63), size + 1, lanes, passes)


def _fixed(text: str) -> int:
    """A number of so many digits of 6 bits, the lowest one first."""
    return sum(DIGITS.index(digit) << (6 * place) for place, digit in enumerate(text))


def _numbers(text: str) -> list[int]:
    """Numbers one after the other, of which the greater ones have more digits, as the first one says (decode64_uint32);
    up to the first one that is cut short."""
    digits = iter([DIGITS.index(digit) for digit in text])
    found: list[int] = []
    for first in digits:
        begin, end, bits, number = 0, 47, 0, 0
        while first > end and bits < 30:
            number += (end + 1 - begin) << bits
            begin, end, bits = end + 1, end + 1 + (62 - end) // 2, bits + 6
        number += (first - begin) << bits
        for place in range(bits - 6, -6, -6):
            if (digit := next(digits, None)) is None:
                return found
            number += digit << place
        found.append(number)
    return found

"""The store of what serves: whether it is away, and forgetting it."""

from __future__ import annotations

from dataclasses import replace

from secreg_host.base.errors import Problem, SecregError
from secreg_host.generation import assemble, generations
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, marker
from secreg_host.wanted.parts.registry import RegistryPart


def away(generation: Generation, *, runs: bool = False) -> tuple[Problem, ...]:
    """That the store of `generation` is not there, or, which is about that file, that its marker is none and so keeps a
    registry from starting that does not run; none: it is there, or that can't be told now."""
    part = generation.parts[RegistryPart]
    if part.root is None or part.storage is None:
        return ()
    try:
        lost = imagesplace.away(part.place, part.root, part.store, marker.look(part.storage))
    except SecregError:
        return ()
    return (lost,) if lost and not (runs and lost.where != part.place) else ()


def is_forgotten(generation: Generation) -> bool:
    """Whether `generation` is what `forget` made of another one."""
    return generation.parts[RegistryPart].store == marker.ANY


def forget(host: Host, current: Generation) -> Generation:
    """`current`, which is the current generation, made one for which the store may be any."""
    part = replace(current.parts[RegistryPart], store=marker.ANY)
    other = assemble.assemble(host, current.parts.having(part), current.slot)
    generations.stage(host, other, assemble.generation_conf(other))
    generations.flip(host, other.name)
    generations.mark_proven(host, other.name)
    return other

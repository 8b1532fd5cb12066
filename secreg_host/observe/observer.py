"""The observer: looks every 20 seconds, says in the journal and to hooks what broke and what is well again, has ended
what hangs and sockets that were removed started anew, and asks for an apply where dockerd was. It changes nothing else,
and holds nothing that the next one would miss."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from secreg_host.apply import hooks
from secreg_host.base import journal, marks, waiting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.base.journal import notify
from secreg_host.base.paths import Paths
from secreg_host.base.waiting import Deadline
from secreg_host.clients.docker import dockerproxies
from secreg_host.host import host as hosts
from secreg_host.observe import hung, look, scene, state, views
from secreg_host.observe.hung import Hung
from secreg_host.observe.look import Look
from secreg_host.observe.state import State
from secreg_host.services import sockets
from secreg_host.watchdog import watch

if TYPE_CHECKING:
    from secreg_host.base.systemd import Systemd

log = logging.getLogger(__name__)

LOOK_SECONDS = 20.0
"""Between two looks."""

AGAIN_SECONDS = 4.0
"""Until the second look, which must find the same before anybody is told: what was killed comes back by itself, and
what is changed just now is on its way. Both together, and what two looks take, are less than half a minute."""


@dataclass(eq=False)
class Observer:
    """Looks by `look`, and has hooks told by `tell`: an event, and the component that it is about."""

    look: Callable[[], Look]
    tell: Callable[[str, State], None]
    ended: threading.Event = field(default_factory=threading.Event)
    hung: Hung = field(default_factory=Hung)
    reopened: dict[str, Deadline] = field(default_factory=dict)
    """Units of sockets that were started anew, and until when none of them is again."""

    last: tuple[State, ...] = ()
    """What the look before found."""

    told: tuple[State, ...] = ()
    """What was told."""

    def run(self) -> None:
        """Look until `ended` is set, or a new version was installed: systemd starts it."""
        code = marks.mark(__file__)
        notify("READY=1")
        while not self.ended.is_set():
            pause = self.once()
            notify("WATCHDOG=1")
            if marks.mark(__file__) != code:
                return
            self.ended.wait(pause)

    def once(self) -> float:
        """One look, and what follows from it; returns the seconds until the next one."""
        try:
            found = self.look()
        except SecregError as error:
            log.debug("nothing can be looked at: %s", error.message)
            return LOOK_SECONDS
        views.keep(found)
        if found.generation is None or not found.unit:
            return LOOK_SECONDS
        same = state.agreed(found.components, self.last)
        self.last = found.components
        for event, one in state.changes(same, self.told):
            self.tell(event, one)
        self.told = state.merged(self.told, same)
        manager = look.systemd_of(found.host)
        self._free(found, manager)
        with contextlib.suppress(SecregError):  # the next look finds it again
            self._reopen(found.host.paths, manager)
        with contextlib.suppress(SecregError):  # the next look tells
            if manager is not None and dockerproxies.unheard(found.host.paths, manager):
                log.debug("dockerd was started anew, with other proxies perhaps: an apply is asked for")
                manager.job("StartUnit", watch.RELOAD, wait=False)
        return LOOK_SECONDS if same == found.components else AGAIN_SECONDS

    def _free(self, found: Look, manager: Systemd | None) -> None:
        """End what hangs."""
        assert found.generation is not None
        seen = scene.of(found.host, found.generation, found.report, manager, {})
        at = {one: seen.activity(hung.unit_of(one, found.generation)) for one in state.PROCESSES}
        for hangs in self.hung.judge(found.components, at):
            with contextlib.suppress(SecregError):
                if manager is not None:
                    hung.end(manager, hung.unit_of(hangs, found.generation))

    def _reopen(self, paths: Paths, manager: Systemd | None) -> None:
        """Have sockets made again that were removed, each once in a while."""
        lost = [] if manager is None else sockets.lost(paths, manager)
        for unit in lost:
            if unit not in self.reopened or self.reopened[unit].over:
                self.reopened[unit] = waiting.within(hung.AGAIN_SECONDS)
                assert manager is not None
                sockets.reopen(manager, unit)


def facts(one: State) -> dict[str, str]:
    """What hooks are told of a component."""
    return {"part": str(one.component), "where": str(one.component), "reason": one.said, "remedy": one.remedy}


def main(paths: Paths) -> int:
    """What secure-registry-observer.service runs, until SIGTERM, which ends it at once."""

    def tell(event: str, one: State) -> None:
        problem = Problem(str(one.component), one.said, one.remedy)
        level = logging.INFO if event == "resolved" else logging.WARNING
        log.log(level, f"{event}: {problem}", extra=journal.entry({"kind": event, **facts(one)}))
        for wrong in hooks.launch(paths, [(event, facts(one))]):
            log.warning(str(wrong), extra=journal.entry({}))

    Observer(lambda: look.look(hosts.discover(paths)), tell).run()
    return 0

"""Users before everything: .htpasswd is read and live before any other file is opened, or any lock waited for.

It needs nothing but that file and what serves. A lock only keeps two runs from doing the same twice; it is not waited
for: whoever lets users count looks afterwards whether the file is still the one that was read, so that of several that
do it at once the last one has read the last file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from secreg_host.apply import probe, rehearsal
from secreg_host.apply.report import Finding, findings
from secreg_host.base import bugs, journal, marks, reading, waiting
from secreg_host.base.errors import Problem, SecregError
from secreg_host.formats import userlines
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.generation.liveusers import LiveUsers, answer_path
from secreg_host.host import authcache
from secreg_host.host.host import Host
from secreg_host.services.services import Services
from secreg_host.wanted.parts import users as users_part
from secreg_host.wanted.parts.users import UsersReading

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.25
"""How long .htpasswd may be away before nobody is let in: who saves by removing and creating it, or by putting another
directory in the place of ours, leaves a moment without."""

LOOKS = 5
"""How often it is read again because it changed while it was made to count; then the next apply does."""

SOON_SECONDS, PROOF_SECONDS = 0.5, 5.0
"""How long the front may take to answer for new users before what it remembers is taken away from it, and how long
before that is told."""


@dataclass
class Users:
    """The users of one instance, made to count again and again while an apply goes on.

    mark: of .htpasswd before it was read last (marks.mark); findings: what was wrong with it then, or with letting
    it count; counted: the users that count since (None: nobody is let in).
    """

    host: Host
    services: Services
    mark: str = ""
    findings: tuple[Finding, ...] = ()
    counted: bytes | None = None

    @property
    def live(self) -> LiveUsers:
        """The users that count."""
        return LiveUsers(self.host)

    @property
    def there(self) -> bool:
        """Whether there is a .htpasswd."""
        return os.path.lexists(self.host.paths.htpasswd)

    def take_over(self, *, begin: bool = False) -> None:
        """Let .htpasswd count, if anybody counts yet or it is to `begin`, and prove that it does. Never raises what
        is wrong with the file or the host: `findings` say it, and what can't be done safely lets nobody in."""
        for _ in range(LOOKS):
            self._take_over_once(begin=begin)
            if not self.changed:
                break

    def refresh(self) -> None:
        """`take_over`, if .htpasswd changed since it was read: called while something slow is waited for."""
        if self.changed:
            self.take_over()

    @property
    def changed(self) -> bool:
        """Whether .htpasswd is another one than was read last."""
        return marks.mark(self.host.paths.htpasswd) != self.mark

    def _take_over_once(self, *, begin: bool) -> None:
        live = self.live
        self.counted = live.read()
        seen = self._read_at_rest(GRACE_SECONDS if self.counted else 0.0)
        self.findings = (
            *findings("rejected", users_part.NAME, seen.problems),
            *findings("warning", users_part.NAME, seen.warnings),
        )
        log.debug("users: %s", "the same" if self.counted == seen.htpasswd else "changed")
        if self.counted is None and not begin:
            return
        fresh = False
        try:
            if self.counted != seen.htpasswd or not live.whole:
                with live.alone():
                    if fresh := live.read() != seen.htpasswd or not live.whole:
                        live.write(seen.htpasswd)
                if fresh and self.counted is not None and (said := userlines.changes(self.counted, seen.htpasswd)):
                    fields = {"kind": "users", **userlines.listed(self.counted, seen.htpasswd)}
                    log.info("users: %s", said, extra=journal.entry(fields, kept=True))
            self.counted = seen.htpasswd
            self._prove_latest(reloaded=not fresh)
        except BaseException as error:
            where = str(self.host.paths.htpasswd)
            problems = bugs.caught(error, where)
            if self.counted != seen.htpasswd:
                live.shut()
                self.counted = None
                authcache.empty(self.host, self.services.view("nginx"))
                what = "it can't be taken over, so nobody can log in"
                problems = tuple(Problem(where, f"{what}: {problem.what}", problem.hint) for problem in problems)
            self._add("unproven", problems)

    def prove_again(self) -> None:
        """Prove it once more if it could not be: what serves was not up yet."""
        try:
            self._prove_latest(reloaded=True)
        except SecregError as error:
            self._add("unproven", error.problems)

    def _prove_latest(self, *, reloaded: bool) -> None:
        """`_prove` what counts in the end: another run may have read a newer file meanwhile."""
        live = self.live
        for _ in range(LOOKS):
            epoch = live.epoch
            if not epoch or live.proven == epoch or not self._prove(epoch, reloaded=reloaded) or live.epoch == epoch:
                break
            reloaded = True

    def _prove(self, epoch: str, *, reloaded: bool) -> bool:
        """Let the front forget what it remembers of other epochs and see that it did; whether there is a front.

        reloaded: nginx may have begun with this epoch already. Raises SecregError when it goes on as before.
        """
        generation = generations.load(self.host, generations.current_name(self.host))
        if generation is not None and generation.with_users:
            return False  # `prove_again` comes when another one serves
        wants = self._wants(generation, epoch)
        if reloaded and wants and not any(probe.once(want) for want in wants):
            log.debug("users: the front answers for them already")
            self.live.mark_proven(epoch)
            return True
        log.debug("users: nginx is reloaded, so that it forgets what it remembers")
        if not self.services.reload("nginx"):
            return False

        def overtaken() -> str:
            return "" if self.live.epoch == epoch else "another run changes users, too"

        wrong = probe.prove(wants, (), SOON_SECONDS, overtaken)
        if overtaken():
            return True
        if wrong or not wants:
            authcache.empty(self.host, self.services.view("nginx"))
        if not wants:
            return True  # and not proven
        if wrong:
            wrong = probe.prove(wants, (), PROOF_SECONDS, overtaken)
        if overtaken():
            return True
        if wrong:
            what = f"nginx does not take over changed users ({wrong}); what it remembered was taken away from it"
            raise SecregError(what, "see what it says: journalctl -u secure-registry-nginx -n 20")
        self.live.mark_proven(epoch)
        return True

    def _read_at_rest(self, patience: float) -> UsersReading:
        """What .htpasswd holds: not while it is away or changes, for `patience` seconds at the most."""
        for _ in waiting.looks(patience):
            self.mark = marks.mark(self.host.paths.htpasswd)
            seen = users_part.read(self.host.paths)
            if reading.is_there(self.host.paths.htpasswd) and not self.changed:
                break
        return seen

    def _wants(self, generation: Generation | None, epoch: str) -> tuple[probe.Expectation, ...]:
        """What the front must answer with `epoch`; nothing when no generation is known to serve."""
        known = rehearsal.expectations(self.host, generation) if generation is not None else ()
        return tuple(replace(want, answer_path=answer_path(epoch), fingerprint=None) for want in known)

    def _add(self, kind: str, problems: Iterable[Problem]) -> None:
        self.findings = (*self.findings, *findings(kind, users_part.NAME, problems))

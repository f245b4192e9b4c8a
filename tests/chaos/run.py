"""One chaotic run: a client that submits, a fleet that works, and a monkey that breaks things as its dice say."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.chaos.record import Record
from tests.fleet import Client, Member, Receiver, Refused, decoders, eventually

#: Jobs that wait at most while the client submits: enough that every worker always has some.
_BACKLOG = 60

Fault = Callable[[], bool | None]


@dataclass
class Orders:
    """What a client asked for, and what it was told."""

    accepted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    repeated: int = 0


@dataclass
class Run:
    """
    Jobs against faults.

    Args:
        faults: By name; each breaks something and may mend it again, and tells with False that it could not.
        kills: How many faults happen, spread over the run by how many jobs have ended.
    """

    dice: Random
    clients: Sequence[Client]
    members: Sequence[Member]
    record: Record
    receiver: Receiver
    videos: Mapping[str, bytes]
    faults: Mapping[str, Fault]
    jobs: int
    kills: int
    orders: Orders = field(default_factory=Orders)
    happened: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def go(self, *, seconds: float) -> None:
        """Submit everything, break things meanwhile, and wait until nothing is left to do or the time is over."""
        self.record.start()
        over = threading.Event()
        threads = [
            threading.Thread(target=self._noted(work), args=(over,), daemon=True)
            for work in (self._keep_up, self._submit_all, self._break_things)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        try:
            for thread in threads[1:]:
                thread.join(max(0.0, deadline - time.monotonic()))
                assert not self.problems, self.problems
                assert not thread.is_alive(), f"the run is not over after {seconds} s: {self.summary()}"
            eventually(
                lambda: self.record.unfinished() == 0,
                max(30.0, deadline - time.monotonic()),
                f"jobs or callbacks are left: {self.summary()}",
            )
        finally:
            over.set()
            for thread in threads:
                thread.join(10)
            self.record.stop()

    def judge(self) -> None:
        """Hold the run to the invariants; tell the stories of the jobs that broke one."""
        wrong = self.record.broken(self.orders.accepted, self.orders.cancelled, self.receiver)
        told = [
            f"{job_id} {'; '.join(reasons)}\n{self.record.story(job_id, self.members, self.receiver)}"
            for job_id, reasons in list(wrong.items())[:5]
        ]
        assert not wrong, f"{len(wrong)} jobs broke an invariant:\n" + "\n\n".join(told)
        assert len(set(self.orders.accepted)) == self.jobs
        assert not self.record.excesses, self.record.excesses[:3]
        assert not self.record.overlaps(), self.record.overlaps()[:3]
        faults = [fault for member in self.members for fault in member.faults]
        assert not faults, "a process ended that nobody killed:\n" + "\n".join(faults)

    def summary(self) -> str:
        states = self.record.rows("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
        ends = ", ".join(f"{row['count']} {row['state']}" for row in states)
        again = self.record.rows("SELECT count(*) FROM jobs WHERE attempt > 1")[0]["count"]
        return (
            f"{len(self.orders.accepted)} jobs accepted ({self.orders.repeated} submits repeated), {ends}; {again} "
            f"jobs started more than once; most running at once {sorted(self.record.most_running.values())} in "
            f"{self.record.looks} looks; {sum(self.happened.values())} faults: {dict(sorted(self.happened.items()))}"
        )

    def _noted(self, work: Callable[[threading.Event], None]) -> Callable[[threading.Event], None]:
        def noting(over: threading.Event) -> None:
            try:
                work(over)
            except BaseException as error:
                self.problems.append(f"{work.__name__}: {error!r}")
                raise

        return noting

    def _keep_up(self, over: threading.Event) -> None:
        while not over.wait(0.3):
            for member in self.members:
                member.keep_up()

    def _submit_all(self, over: threading.Event) -> None:
        dice = Random(self.dice.random())
        good = [name for name in self.videos if name.startswith("good")]
        bad = [name for name in self.videos if not name.startswith("good")]
        for number in range(self.jobs):
            while len(self.orders.accepted) - self.record.finished > _BACKLOG and not over.is_set():
                time.sleep(0.05)
            if over.is_set():
                return
            source = dice.choice(bad) if dice.random() < 0.03 else dice.choice(good)
            if dice.random() < 0.01:
                source = "never-uploaded.mp4"
            client = dice.choice(self.clients)
            job_id = self._submit(client, number, source)
            self.orders.accepted.append(job_id)
            if dice.random() < 0.03:
                time.sleep(dice.uniform(0, 0.5))
                self._cancel(client, job_id)

    def _submit(self, client: Client, number: int, source: str) -> str:
        before = time.monotonic()
        job_id = client.insist(
            source, f"out/{number}/${{Number}}.jpg", self.receiver.url, token=f"order-{number}", count=1 + number % 2
        )
        self.orders.repeated += time.monotonic() - before > 0.1
        return job_id

    def _cancel(self, client: Client, job_id: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, Refused):
            client.cancel(job_id)
            self.orders.cancelled.append(job_id)

    def _break_things(self, over: threading.Event) -> None:
        dice = Random(self.dice.random())
        names = sorted(self.faults)
        plan = (names * (self.kills // len(names) + 1))[: max(self.kills, len(names))]
        dice.shuffle(plan)
        for number, name in enumerate(plan):
            due = self.jobs * number // (len(plan) + 1)
            while self.record.finished < due and not over.is_set():
                time.sleep(0.02)
            if over.is_set():
                return
            time.sleep(dice.uniform(0, 0.3))
            if self.faults[name]() is not False:
                self.happened[name] += 1
                print(f"after {self.record.finished} jobs: {name}", flush=True)
            time.sleep(dice.uniform(0.2, 0.8))


def kill_one_of(members: Sequence[Member], dice: Random) -> Fault:
    """Kill one of the processes that run, and tell whether there was one."""

    def fault() -> bool:
        living = [member for member in members if member.pid is not None]
        return bool(living) and dice.choice(living).kill()

    return fault


def freeze_one_of(members: Sequence[Member], dice: Random, *, seconds: float) -> Fault:
    """Stop a process for longer than its lease, and let it go on."""

    def fault() -> None:
        member = dice.choice(members)
        member.signal(signal.SIGSTOP)
        time.sleep(seconds)
        member.signal(signal.SIGCONT)

    return fault


def strike_a_decoder(members: Sequence[Member], number: signal.Signals) -> Fault:
    """Crash or hang a decoder in the middle of a video; tells whether one was caught."""

    def fault() -> bool:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            for member in members:
                for pid in decoders(member):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                        return True
        return False

    return fault

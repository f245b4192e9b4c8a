"""One chaotic run: a client that submits, a fleet that works, and a monkey that breaks things as its dice say."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.chaos.record import Record
from tests.fleet import Client, Member, Receiver, Refused, decoders, eventually

#: Jobs that wait at most while the client submits: enough that every worker always has some.
_BACKLOG = 60
#: How long a fault that found nothing to break is tried again.
_INSIST_SECONDS = 20.0
_NEVER_UPLOADED = "never-uploaded.mp4"

Fault = Callable[[], bool | None]


@dataclass(frozen=True)
class Faults:
    """
    What breaks in a run, by name; each fault may mend it again, and tells with False that it found nothing to break.

    Args:
        kills: Those that kill processes with SIGKILL.
        most: How many kills a run holds, each fault of `kills` in turn.
        others: Those that break something else.
        rounds: How often a run holds each of `others`.
    """

    kills: Mapping[str, Fault]
    most: int
    others: Mapping[str, Fault] = field(default_factory=dict)
    rounds: int = 1

    def plan(self, dice: Random) -> list[str]:
        """Give all that happens, in the order in which it does."""
        names = sorted(self.kills)
        plan = [names[number % len(names)] for number in range(self.most)] + sorted(self.others) * self.rounds
        dice.shuffle(plan)
        return plan


@dataclass
class Orders:
    """What a client asked for, and what it was told."""

    accepted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    repeated: int = 0


@dataclass
class Run:
    """
    Jobs against faults.

    Faults are spread over the run by how many jobs have ended, and the client waits for those that lag behind: all of
    them happen under load.
    """

    dice: Random
    clients: Sequence[Client]
    members: Sequence[Member]
    record: Record
    receiver: Receiver
    videos: Mapping[str, bytes]
    faults: Faults
    jobs: int
    orders: Orders = field(default_factory=Orders)
    happened: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._plan = self.faults.plan(Random(self.dice.random()))
        self._done = 0

    @property
    def killed(self) -> int:
        """Kills so far."""
        return sum(count for name, count in self.happened.items() if name in self.faults.kills)

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
            while any(thread.is_alive() for thread in threads[1:]):
                threads[1].join(0.2)
                threads[2].join(0.2)
                problems = self.problems + self.record.problems
                assert not problems, problems
                assert time.monotonic() < deadline, f"the run is not over after {seconds} s: {self.summary()}"
            eventually(lambda: not self.record.unfinished(), max(30.0, deadline - time.monotonic()), self._what_is_left)
        finally:
            over.set()
            for thread in threads:
                thread.join(10)
            self.record.stop()

    def _what_is_left(self) -> str:
        stories = [self.record.story(job_id, self.members, self.receiver) for job_id in self.record.unfinished()[:5]]
        return "\n\n".join([f"jobs or callbacks are left: {self.summary()}", *stories])

    def judge(self) -> None:
        """Hold the run to the invariants; tell the stories of the jobs that broke one."""
        wrong = self.record.broken(self.orders.accepted, self.orders.cancelled, self.receiver)
        for job_id, reasons in [*self._wrong_ends(), *self._wrong_covers()]:
            wrong.setdefault(job_id, []).append(reasons)
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
        traces = [f"{member.name}:\n{trace}" for member in self.members for trace in member.traces()]
        assert not traces, f"{len(traces)} errors that nobody foresaw:\n{traces[0]}"
        assert self.killed == self.faults.most, f"{self.killed} kills: this run showed less than it should"

    def _wrong_ends(self) -> Iterator[tuple[str, str]]:
        """Tell which jobs ended otherwise than their video lets them; a decoder that was made to hang is an excuse."""
        struck = {"ProcessTimeout": self.happened["decoder hangs"]}
        for job in self.record.rows("SELECT job_id, state, code, message FROM jobs WHERE state <> 'Cancel'"):
            good = self.orders.sources.get(job["job_id"], "").startswith(("stand-in", "good"))
            if job["state"] == ("Success" if good else "Failed"):
                continue
            if good and struck.get(job["code"], 0) > 0:
                struck[job["code"]] -= 1
                continue
            source = self.orders.sources.get(job["job_id"])
            yield job["job_id"], f"made of {source}, it ended as {job['state']} {job['code']}: {job['message']}"

    def _wrong_covers(self) -> Iterator[tuple[str, str]]:
        """Fetch every cover that a result tells of, and tell which jobs have none there, or another one."""
        jobs = self.record.rows("SELECT job_id, spec, result FROM jobs WHERE state = 'Success'")
        told = [
            (job["job_id"], json.loads(job["spec"])["output"]["bucket"], cover["key"], cover["md5"])
            for job in jobs
            for cover in json.loads(job["result"])["covers"]
        ]
        by_bucket = {client.bucket: client for client in self.clients}

        def fetched(bucket: str, key: str) -> bytes:
            return by_bucket[bucket].insist(partial(by_bucket[bucket].get, key))

        def wrong(cover: tuple[str, str, str, str]) -> tuple[str, str] | None:
            job_id, bucket, key, md5 = cover
            try:
                found = hashlib.md5(fetched(bucket, key), usedforsecurity=False).hexdigest()
            except Refused as refused:
                return job_id, f"its cover {key} cannot be fetched: {refused}"
            return None if found == md5 else (job_id, f"its cover {key} is {found}, and its result tells of {md5}")

        for member in self.members:
            member.keep_up()
        with ThreadPoolExecutor(4) as threads:
            yield from filter(None, threads.map(wrong, told))

    def summary(self) -> str:
        states = self.record.rows("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
        ends = ", ".join(f"{row['count']} {row['state']}" for row in states)
        again = self.record.rows("SELECT count(*) FROM jobs WHERE attempt > 1")[0]["count"]
        return (
            f"{len(self.orders.accepted)} jobs accepted ({self.orders.repeated} submits repeated), {ends}; {again} "
            f"jobs started more than once; most running at once {sorted(self.record.most_running.values())} in "
            f"{self.record.looks} looks; {self.killed} kills among {self.happened.total()} faults: "
            f"{dict(sorted(self.happened.items()))}"
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

    def _due(self, number: int) -> int:
        """Tell after how many ended jobs a fault of the plan happens."""
        return self.jobs * number // (len(self._plan) + 1)

    def _submit_all(self, over: threading.Event) -> None:
        dice = Random(self.dice.random())
        for number in range(self.jobs):
            while not over.is_set() and (
                len(self.orders.accepted) - self.record.finished > _BACKLOG
                or (self._done < len(self._plan) and number > self._due(self._done) + _BACKLOG)
            ):
                time.sleep(0.02)
            if over.is_set():
                return
            client, source = dice.choice(self.clients), self._source(dice)
            job_id = self._submit(client, number, source)
            self.orders.sources[job_id] = source
            self.orders.accepted.append(job_id)
            if dice.random() < 0.03:
                time.sleep(dice.uniform(0, 0.5))
                self._cancel(client, job_id)

    def _source(self, dice: Random) -> str:
        if dice.random() < 0.01:
            return _NEVER_UPLOADED
        (kind,) = dice.choices(("stand-in", "good", "bad"), (78, 18, 4))
        return dice.choice([name for name in self.videos if name.startswith(kind)])

    def _submit(self, client: Client, number: int, source: str) -> str:
        failures: list[Exception] = []
        output, token = f"out/{number}/${{Number}}.jpg", f"order-{number}"
        try:
            return client.insist(
                partial(client.submit, source, output, self.receiver.url, token=token, count=1 + number % 2), failures
            )
        finally:
            self.orders.repeated += bool(failures)

    def _cancel(self, client: Client, job_id: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, Refused):
            client.cancel(job_id)
            self.orders.cancelled.append(job_id)

    def _break_things(self, over: threading.Event) -> None:
        dice = Random(self.dice.random())
        faults = {**self.faults.kills, **self.faults.others}
        for number, name in enumerate(self._plan):
            while self.record.finished < self._due(number) and not over.is_set():
                time.sleep(0.02)
            time.sleep(dice.uniform(0, 0.3))
            if over.is_set():
                return
            happened = self._insist(faults[name])
            self.happened[name] += happened
            print(f"after {self.record.finished} jobs: {name}{'' if happened else ' found nothing'}", flush=True)
            self._done = number + 1
            time.sleep(dice.uniform(0.2, 0.8))

    def _insist(self, fault: Fault) -> bool:
        deadline = time.monotonic() + _INSIST_SECONDS
        while fault() is False:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True


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

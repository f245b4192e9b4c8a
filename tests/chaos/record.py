"""What a run is judged by: every change of a job's state as the database made it, and the story of one job."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import asyncpg

from tests.fleet import Member, Receiver, job_of

T = TypeVar("T")

#: How asyncpg says that the server went away in the middle of something.
_CUT_OFF = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
FINAL = {"Success", "Failed", "Cancel"}

#: Written in the transaction of the change itself; real time, whatever the product's clock is told.
_RECORDER = """
CREATE TABLE recorded (
    seq bigserial, at timestamptz NOT NULL DEFAULT clock_timestamp(), job_id text NOT NULL, queue_id text NOT NULL,
    old text, new text NOT NULL, attempt integer NOT NULL, worker_id text
);
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.state IS DISTINCT FROM NEW.state OR OLD.lease_token IS DISTINCT FROM NEW.lease_token THEN
        INSERT INTO recorded (job_id, queue_id, old, new, attempt, worker_id) VALUES (
            NEW.job_id, NEW.queue_id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.attempt,
            NEW.worker_id
        );
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER record_change AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION record_change();
"""


class Record:
    """A reader of the database that looks on while the run goes, and judges it afterwards."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.ask(lambda connection: connection.execute(_RECORDER))
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look_on_or_say_why_not, daemon=True)
        self.finished = 0
        self.looks = 0
        #: Most jobs seen running at once, by queue, and what was wrong at a look.
        self.most_running: dict[str, int] = {}
        self.excesses: list[str] = []
        #: Why it stopped looking, if it did.
        self.problems: list[str] = []

    def ask(self, question: Callable[[Any], Coroutine[Any, Any, T]], *, seconds: float = 60.0) -> T:
        """Ask the database, again and again if it is away."""

        async def once() -> T:
            connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=30)
            try:
                return await question(connection)
            finally:
                connection.terminate()

        deadline = time.monotonic() + seconds
        while True:
            try:
                return asyncio.run(once())
            except (OSError, TimeoutError, asyncpg.OperatorInterventionError, *_CUT_OFF):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self.ask(lambda connection: connection.fetch(query, *arguments))]

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._stop.set()
        if self._watch.is_alive():
            self._watch.join(30)

    def _look_on_or_say_why_not(self) -> None:
        try:
            asyncio.run(self._look_on())
        except Exception as error:  # a run without a watcher would wait for ever
            self.problems.append(f"the watcher ended: {error!r}")

    async def _look_on(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, *_CUT_OFF):
                connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=10)
                try:
                    while not self._stop.is_set():
                        await self._look(connection)
                        await asyncio.sleep(0.05)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.2)

    async def _look(self, connection: Any) -> None:
        running = await connection.fetch(
            "SELECT queue_id, max_concurrent, count(*) AS running, array_agg(job_id) AS jobs"
            " FROM jobs JOIN queues USING (queue_id) WHERE jobs.state = 'Running' GROUP BY queue_id, max_concurrent"
        )
        for row in running:
            queue_id, count = row["queue_id"], row["running"]
            self.most_running[queue_id] = max(count, self.most_running.get(queue_id, 0))
            if count > row["max_concurrent"]:
                self.excesses.append(f"{count} jobs ran at once in {queue_id}: {row['jobs']}")
        self.finished = await connection.fetchval("SELECT count(*) FROM jobs WHERE state = ANY($1)", list(FINAL))
        self.looks += 1

    def unfinished(self) -> list[str]:
        """Name the jobs that have no final state or still owe a callback."""
        rows = self.rows(
            "SELECT job_id FROM jobs WHERE NOT state = ANY($1)"
            " UNION SELECT job_id FROM deliveries WHERE state = 'pending'",
            list(FINAL),
        )
        return [row["job_id"] for row in rows]

    def overlaps(self) -> list[str]:
        """Name every moment at which more jobs of a queue held a lease than its limit, from what was recorded."""
        limits = {row["queue_id"]: row["max_concurrent"] for row in self.rows("SELECT * FROM queues")}
        running: dict[str, set[str]] = defaultdict(set)
        found = []
        for change in self.rows("SELECT * FROM recorded ORDER BY at, seq"):
            held = running[change["queue_id"]]
            if change["new"] == "Running":
                held.add(change["job_id"])
                if len(held) > limits[change["queue_id"]]:
                    found.append(f"{len(held)} jobs of {change['queue_id']} held a lease at {change['at']}: {held}")
            else:
                held.discard(change["job_id"])
        return found

    def broken(self, accepted: Iterable[str], cancelled: Iterable[str], receiver: Receiver) -> dict[str, list[str]]:
        """
        Hold every job to the invariants, and give what is wrong by job id.

        Args:
            accepted: Jobs whose submit was answered with 200.
            cancelled: Jobs whose cancel was answered with 200.
        """
        wrong: dict[str, list[str]] = defaultdict(list)
        wanted, cancels = set(accepted), set(cancelled)
        jobs = {row["job_id"]: row for row in self.rows("SELECT * FROM jobs")}
        changes = defaultdict(list)
        for change in self.rows("SELECT * FROM recorded ORDER BY seq"):
            changes[change["job_id"]].append(change)
        owed = defaultdict(list)
        for delivery in self.rows("SELECT * FROM deliveries"):
            owed[delivery["job_id"]].append(delivery)
        objects = {(row["bucket"], row["key"]): row["etag"] for row in self.rows("SELECT * FROM objects")}
        for job_id in wanted - jobs.keys():
            wrong[job_id].append("was accepted and is lost")
        for job_id in jobs.keys() - wanted:
            wrong[job_id].append("was made, and no submit that made it was answered with 200 in the end")
        for job_id, job in jobs.items():
            ends = [change["new"] for change in changes[job_id] if change["new"] in FINAL]
            if ends != [job["state"]]:
                wrong[job_id].append(f"came to the ends {ends} and stands at {job['state']}")
            if any(change["old"] in FINAL for change in changes[job_id]):
                wrong[job_id].append("left its final state")
            if job_id in cancels and job["state"] != "Cancel":
                wrong[job_id].append(f"was cancelled, and is {job['state']}")
            wrong[job_id] += _wrong_callbacks(job, owed[job_id], receiver)
            wrong[job_id] += _wrong_objects(job, objects)
        known = {delivery["delivery_id"] for deliveries in owed.values() for delivery in deliveries}
        for stranger in receiver.received.keys() - known:
            wrong[job_of(next(iter(receiver.received[stranger].bodies)))[0]].append(f"{stranger}: nobody owed it")
        return {job_id: reasons for job_id, reasons in wrong.items() if reasons}

    def story(self, job_id: str, members: Iterable[Member], receiver: Receiver) -> str:
        """Tell all that is known of one job, in order of time."""
        lines: list[tuple[str, str]] = []
        for change in self.rows("SELECT * FROM recorded WHERE job_id = $1 ORDER BY seq", job_id):
            at = change["at"].isoformat()
            text = f"{change['old']} -> {change['new']} attempt {change['attempt']} {change['worker_id']}"
            lines.append((at, f"database: {text}"))
        for member in members:
            lines += [
                (str(event.get("timestamp")), f"{member.name}: {json.dumps(event)}")
                for event in member.events()
                if event.get("job_id") == job_id
            ]
        told = "\n".join(f"  {at} {text}" for at, text in sorted(lines))
        rows = self.rows("SELECT * FROM jobs WHERE job_id = $1", job_id)
        rows += self.rows(
            "SELECT delivery_id, state, tries, reason, created_at, ended_at FROM deliveries WHERE job_id = $1", job_id
        )
        came = [
            f"  received {one.times} times, answered {one.answered} times: {name}"
            for name, one in list(receiver.received.items())
            if job_of(next(iter(one.bodies)))[0] == job_id
        ]
        return "\n".join([told, *(f"  {row}" for row in rows), *came])


def _wrong_callbacks(job: dict[str, Any], owed: list[dict[str, Any]], receiver: Receiver) -> list[str]:
    expected = 0 if job["state"] == "Cancel" else 1
    wrong = [] if len(owed) == expected else [f"owes {len(owed)} callbacks and not {expected}"]
    for delivery in owed:
        name = delivery["delivery_id"]
        came = receiver.received.get(name)
        if delivery["state"] != "delivered":
            wrong.append(f"{name} is {delivery['state']}: {delivery['reason']}")
        if came is None or not came.answered:
            wrong.append(f"{name} never came through to the receiver")
        elif came.bodies != {bytes(delivery["body"])} or job_of(delivery["body"]) != (job["job_id"], job["state"]):
            wrong.append(f"{name} told something else than is stored")
    return wrong


def _wrong_objects(job: dict[str, Any], objects: dict[tuple[str, str], str]) -> list[str]:
    spec = json.loads(job["spec"])
    place, pattern = spec["output"]["bucket"], spec["output"]["object_pattern"]
    prefix = pattern.partition("$")[0]
    seen = {key: etag for (bucket, key), etag in objects.items() if bucket == place and key.startswith(prefix)}
    covers = json.loads(job["result"])["covers"] if job["state"] == "Success" else []
    told = {cover["key"]: cover["md5"] for cover in covers}
    return [] if seen == told else [f"published {seen}, and its result tells of {told}"]

"""An installation of roles as processes of their own, as an operator sees it: its pages, its jobs, its processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.clips import small_clip
from tests.postgres import cluster
from tests.roles import Roles

BUCKET = "ops-1250000000"
REGION = "local"


class Installation:
    """Roles on one database and one folder, several of a kind if a test likes, each with its pages on a free port."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.environment = {
            "SMARTCOVER_DATABASE_URL": cluster().make_database(),
            "SMARTCOVER_STORAGE": f"file:{folder / 'objects'}",
            "SMARTCOVER_BUCKETS": BUCKET,
            **settings,
        }
        self.roles = Roles(folder, self.environment)

    def get(self, role: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.roles.port_of(role), timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def ready(self, role: str) -> tuple[int, dict[str, Any]]:
        status, body = self.get(role, "/readyz")
        return status, json.loads(body)

    def says(self, role: str, status: int) -> bool:
        return self.ready(role)[0] == status

    def metrics(self, role: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        status, body = self.get(role, "/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }

    def submit(self, key: str, callback: str, output: str = "out/${Number}.jpg") -> str:
        answer = self.roles.client(REGION).ci_create_media_jobs(
            Bucket=BUCKET,
            Jobs={
                "Tag": "SmartCover",
                "Input": {"Object": key},
                "Operation": {
                    "SmartCover": {"Format": "jpg", "Count": "2"},
                    "Output": {"Region": REGION, "Bucket": BUCKET, "Object": output},
                },
                "CallBack": callback,
            },
            Lst={},
            ContentType="application/xml",
        )
        detail = answer["JobsDetail"]
        return str((detail[0] if isinstance(detail, list) else detail)["JobId"])

    def submit_clip(self, callback: str) -> str:
        """Upload a clip and submit a job for it."""
        clip = small_clip(self.folder / "clip.mp4", seconds=4)
        self.roles.client(REGION).put_object(Bucket=BUCKET, Key="in/clip.mp4", Body=clip.read_bytes())
        return self.submit("in/clip.mp4", callback)

    def freeze_decoder(self, name: str) -> int:
        """Stop the decoder's process of a worker as soon as there is one, so that its job does not end, and name it."""
        worker = self.roles.processes[name].pid
        found: list[int] = []

        def caught() -> bool:
            found[:] = [pid for server in children_of(worker) for pid in children_of(server)]
            return bool(found)

        deadline = time.monotonic() + 60
        while not caught():
            assert time.monotonic() < deadline, "no decoder was started"
        os.kill(found[0], signal.SIGSTOP)
        return found[0]

    def terminate(self, name: str) -> None:
        """Ask a process to stop."""
        self.roles.processes[name].send_signal(signal.SIGTERM)

    def exit_of(self, name: str) -> int:
        """Wait for a process to end, and give its exit code."""
        return self.roles.processes.pop(name).wait(60)

    def job(self, job_id: str) -> dict[str, Any]:
        detail = self.roles.client(REGION).ci_get_media_jobs(Bucket=BUCKET, JobIDs=job_id)["JobsDetail"]
        return dict(detail[0] if isinstance(detail, list) else detail)


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    return []


@contextlib.contextmanager
def installed(folder: Path, *roles: str, **settings: str) -> Iterator[Installation]:
    installation = Installation(folder, **settings)
    try:
        for role in roles:
            installation.roles.start(role)
        yield installation
    finally:
        installation.roles.stop()


def value(metrics: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    found = [v for (n, held), v in metrics.items() if n == name and labels.items() <= dict(held).items()]
    assert found, f"no sample {name} {labels}"
    return sum(found)

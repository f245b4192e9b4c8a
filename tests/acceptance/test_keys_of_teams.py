"""
Key pairs of teams on two API processes and one database, made, rotated and revoked by the command line while both run.

The bound on a change is `LOOK_SECONDS` where the announcement is lost; these tests allow ten times as much.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smartcover.app.credentials import KeyPair
from smartcover.app.keyring import LOOK_SECONDS, TRUST_SECONDS, TeamKeyRing
from smartcover.errors import LedgerUnavailable
from smartcover.ledger import Ledger
from smartcover.service import SecretMaker, add_team_key, rotate_team_key
from tests.edge_server import build, exchange
from tests.postgres import cluster
from tests.roles import Roles

REGION = "ap-chongqing"
MASTER = "the master secret of these tests"
pytestmark = pytest.mark.timeout(240)


class Installation:
    """Two API processes, and the commands of their operator."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "SMARTCOVER_DATABASE_URL": cluster().make_database(),
            "SMARTCOVER_STORAGE": f"file:{folder / 'objects'}",
            "SMARTCOVER_BUCKETS": "teama-videos,teamb-videos",
            "SMARTCOVER_REGION": REGION,
            "SMARTCOVER_KEYS_SECRET": MASTER,
        }
        self._folder = folder
        self.apis = []
        for name in ("one", "two"):
            (folder / name).mkdir(parents=True)
            roles = Roles(folder / name, self.environment)
            roles.start("api")
            self.apis.append(roles)

    def command(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
        done = subprocess.run(
            [sys.executable, "-m", "smartcover", "keys", *words],
            env={**environment, **self.environment},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self, api: Roles, secret_id: str, secret_key: str, bucket: str = "teama-videos") -> int:
        host = f"{bucket}.cos.{REGION}.myqcloud.com"
        request = build("GET", "/", host=host, secret_id=secret_id, secret_key=secret_key)
        return exchange(api.port, request).status

    def until(self, met: Callable[[Roles], bool]) -> float:
        """Wait until both processes meet a condition; give how long it took."""
        begin = time.monotonic()
        while not all(met(api) for api in self.apis):
            assert time.monotonic() - begin < 10 * LOOK_SECONDS, "the change does not arrive"
            time.sleep(0.05)
        return time.monotonic() - begin

    def logs(self) -> str:
        return "".join(path.read_text() for path in self._folder.rglob("*") if path.suffix in {".log", ".out"})


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("teams"))
    yield made
    for api in made.apis:
        api.stop()


def made_key(installation: Installation, *words: str) -> tuple[str, str]:
    made = json.loads(installation.command("add", *words, "--json"))
    return made["secret_id"], made["secret_key"]


def test_a_key_pair_works_on_every_process_without_restart_rotates_without_a_gap_and_ends(
    installation: Installation,
) -> None:
    secret_id, first = made_key(installation, "team-a", "--bucket", "teama-*")
    took = [installation.until(lambda api: installation.status(api, secret_id, first) == 200)]
    assert [installation.status(api, secret_id, first, "teamb-videos") for api in installation.apis] == [403, 403]

    second = json.loads(installation.command("rotate", secret_id, "--keep-old", "1h", "--json"))["secret_key"]
    assert [installation.status(api, secret_id, first) for api in installation.apis] == [200, 200]
    took.append(installation.until(lambda api: installation.status(api, secret_id, second) == 200))
    assert [installation.status(api, secret_id, first) for api in installation.apis] == [200, 200]

    third = json.loads(installation.command("rotate", secret_id, "--keep-old", "0s", "--json"))["secret_key"]
    took.append(installation.until(lambda api: installation.status(api, secret_id, first) == 403))
    assert [installation.status(api, secret_id, third) for api in installation.apis] == [200, 200]
    assert [installation.status(api, secret_id, second) for api in installation.apis] == [403, 403]

    installation.command("revoke", secret_id)
    took.append(installation.until(lambda api: installation.status(api, secret_id, third) == 403))
    print("seconds until both processes knew: " + ", ".join(f"{seconds:.2f}" for seconds in took))
    listed = installation.command("list", "--revoked", "--json")
    assert secret_id in listed
    for secret in (first, second, third):
        assert secret not in listed
        assert secret not in installation.logs()


def test_buckets_and_rights_change_while_the_secret_stays(installation: Installation) -> None:
    secret_id, secret = made_key(installation, "team-c", "--bucket", "teama-videos", "--right", "read")
    installation.until(lambda api: installation.status(api, secret_id, secret) == 200)
    installation.command("change", secret_id, "--bucket", "teamb-videos")
    installation.until(lambda api: installation.status(api, secret_id, secret) == 403)
    assert [installation.status(api, secret_id, secret, "teamb-videos") for api in installation.apis] == [200, 200]


def ring_of(clock: Callable[[], float], masters: list[str], work: Callable[[Ledger, TeamKeyRing], Any]) -> None:
    async def run() -> None:
        ledger = await Ledger.connect(cluster().make_database(), pool_size=2)
        ring = TeamKeyRing(KeyPair("first", "secret"), ledger.keys, SecretMaker(masters), monotonic=clock)
        try:
            await work(ledger, ring)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_process_that_cannot_read_the_key_pairs_stops_trusting_them_but_not_the_first_one() -> None:
    now = 1000.0

    async def work(ledger: Ledger, ring: TeamKeyRing) -> None:
        nonlocal now
        made = await add_team_key(ledger.keys, SecretMaker([MASTER]), "a", buckets=["a-*"], rights=["read"])
        await ring.load()
        now += TRUST_SECONDS
        assert ring.secret_of(made.key.secret_id) == (made.secret_key,)
        now += 1
        with pytest.raises(LedgerUnavailable):
            ring.secret_of(made.key.secret_id)
        assert ring.secret_of("first") == ("secret",)

    ring_of(lambda: now, [MASTER], work)


def test_a_replaced_secret_ends_by_itself_between_two_readings() -> None:
    now = 1000.0

    async def work(ledger: Ledger, ring: TeamKeyRing) -> None:
        nonlocal now
        maker = SecretMaker([MASTER])
        old = await add_team_key(ledger.keys, maker, "a", buckets=["a-*"], rights=["read"])
        new = await rotate_team_key(ledger.keys, maker, old.key.secret_id, keep_seconds=10)
        await ring.load()
        assert ring.secret_of(old.key.secret_id) == (new.secret_key, old.secret_key)
        now += 11
        assert ring.secret_of(old.key.secret_id) == (new.secret_key,)

    ring_of(lambda: now, [MASTER], work)


def test_secrets_of_the_master_before_stay_known_while_both_are_set_and_not_after() -> None:
    async def work(ledger: Ledger, ring: TeamKeyRing) -> None:
        made = await add_team_key(ledger.keys, SecretMaker([MASTER]), "a", buckets=["a-*"], rights=["read"])
        await ring.load()
        assert ring.secret_of(made.key.secret_id) == (made.secret_key,)
        other = TeamKeyRing(KeyPair("first", "secret"), ledger.keys, SecretMaker(["another master secret"]))
        await other.load()
        assert other.secret_of(made.key.secret_id) is None

    ring_of(lambda: 0.0, ["a newer master secret", MASTER], work)

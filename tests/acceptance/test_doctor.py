"""`smartcover doctor` finds nothing wrong where nothing is, and names what is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from smartcover.app.doctor import _PROBE_BUCKET, _storage
from smartcover.errors import StorageUnavailable
from smartcover.ledger import EmbeddedPostgres, upgrade
from smartcover.storage import MemoryStore
from tests.moto_server import fresh, running_moto
from tests.postgres import cluster

pytestmark = pytest.mark.timeout(120)


def doctor(data: Path, **settings: str) -> tuple[int, dict[str, dict[str, str]]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    run = subprocess.run(
        [sys.executable, "-m", "smartcover", "doctor", "--data", str(data), "--json"],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, {finding["check"]: finding for finding in json.loads(run.stdout)["findings"]}


def test_a_sound_installation_passes(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path)
    assert {name: finding["level"] for name, finding in findings.items() if finding["level"] == "fail"} == {}
    assert {"database", "storage", "clock", "engine in a child process", "model weights", "callbacks"} <= set(findings)
    assert code == 0


async def test_a_server_that_runs_is_looked_at_beside_it(tmp_path: Path) -> None:
    running = EmbeddedPostgres(tmp_path / "postgres")
    try:
        await upgrade(await running.start())
        code, findings = await asyncio.to_thread(doctor, tmp_path)
    finally:
        await running.stop()
    assert {finding["level"] for finding in findings.values()} == {"ok"}, findings
    assert {"database", "storage", "clock"} <= set(findings)
    assert code == 0


def test_what_is_wrong_is_named_with_the_way_out(tmp_path: Path) -> None:
    code, findings = doctor(
        tmp_path,
        SMARTCOVER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        SMARTCOVER_CALLBACK_ALLOW="no-such-host.invalid",
        SMARTCOVER_CALLBACK_CA_FILE="/no/such/ca.pem",
    )
    assert code == 1
    assert findings["database"]["level"] == "fail"
    assert "/no/such/ca.pem" in findings["settings"]["seen"]
    assert findings["callbacks"]["level"] == "warn"
    assert "no-such-host.invalid" in findings["callbacks"]["seen"]


@pytest.mark.parametrize(
    ("settings", "check", "said"),
    [
        ({"SMARTCOVER_LEASE_SECONDS": "1"}, "settings", "SMARTCOVER_LEASE_SECONDS is '1'"),
        ({"SMARTCOVER_BROKER_URL": "ftp://u:hidden@h"}, "settings", "SMARTCOVER_BROKER_URL begins with 'ftp'"),
        ({"SMARTCOVER_CALLBACK_CA_FILE": "{garbage}"}, "settings", "SMARTCOVER_CALLBACK_CA_FILE={garbage}"),
        ({"SMARTCOVER_SCORER": "{garbage}"}, "settings", "SMARTCOVER_SCORER={garbage}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_would_end_a_role_is_found_before(tmp_path: Path, settings: dict[str, str], check: str, said: str) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("nothing")
    wrong = {"SMARTCOVER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}  # so that it ends soon
    code, findings = doctor(tmp_path, **wrong, **{k: v.format(garbage=garbage) for k, v in settings.items()})
    assert code == 1
    assert said.format(garbage=garbage) in findings[check]["seen"]
    assert "hidden" not in json.dumps(findings)


def test_an_s3_store_in_which_the_operator_makes_the_buckets_passes(tmp_path: Path) -> None:
    dsn, bucket = cluster().make_database(), "videos-1250000000"
    with running_moto() as address:
        fresh(address, bucket)
        shared = {
            "SMARTCOVER_DATABASE_URL": dsn,
            "SMARTCOVER_STORAGE": "s3://",
            "SMARTCOVER_S3_ENDPOINT": address,
            "SMARTCOVER_S3_ACCESS_KEY_ID": "id",
            "SMARTCOVER_S3_SECRET_ACCESS_KEY": "key",
            "SMARTCOVER_S3_PATH_STYLE": "true",
            "SMARTCOVER_S3_ALLOW_HTTP": "true",
        }
        code, findings = doctor(tmp_path, **shared)
        assert (code, findings["storage"]["level"]) == (0, "warn")
        asyncio.run(_know(dsn, bucket))
        code, findings = doctor(tmp_path, **shared)
        assert (code, findings["storage"]["level"]) == (0, "ok")
        asyncio.run(_know(dsn, "lost-1250000000"))
        code, findings = doctor(tmp_path, **shared)
        assert (code, findings["storage"]["level"]) == (1, "fail")
        assert findings["storage"]["seen"] == "1 of 2 buckets are not in the store: lost-1250000000"
    code, findings = doctor(tmp_path, **shared)
    assert (code, findings["storage"]["level"]) == (1, "fail")
    assert "{" not in findings["storage"]["seen"]
    assert "SMARTCOVER_STORAGE" in findings["storage"]["advice"]
    del shared["SMARTCOVER_DATABASE_URL"]
    assert "disk" in doctor(tmp_path, **shared)[1], "the database lies on it"


class _Unreadable(MemoryStore):
    def read(self, *_: Any, **__: Any) -> Any:
        raise StorageUnavailable


async def test_nothing_is_left_in_a_store_that_fails_half_way() -> None:
    store = _Unreadable()
    with pytest.raises(StorageUnavailable):
        await _storage(store)
    assert await store.buckets() == []


async def test_what_a_killed_doctor_left_does_not_fail_the_next() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"left"

    store = MemoryStore()
    await store.create_bucket(_PROBE_BUCKET, "doctor")
    await store.put(_PROBE_BUCKET, "left", body(), headers={})
    assert (await _storage(store)).level == "ok"


async def _know(dsn: str, bucket: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("INSERT INTO buckets (name, region) VALUES ($1, 'r')", bucket)
    await connection.close()


def test_a_misspelt_variable_is_a_finding_and_no_failure(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path, SMARTCOVER_CALLBACK_ALOW="10.0.0.0/8")
    assert code == 0
    assert findings["environment"]["level"] == "warn"
    assert "did you mean SMARTCOVER_CALLBACK_ALLOW?" in findings["environment"]["seen"]


@pytest.mark.parametrize(
    ("command", "stream"),
    [(("settings", "--plain"), "plain"), (("callbacks", "list"), "plain"), (("worker",), "log"), (("serve",), "log")],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_a_misspelt_variable_is_said_at_the_start_of_commands(
    tmp_path: Path, command: tuple[str, ...], stream: str
) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    # An address that is refused, so that the roles end by themselves.
    wrong = {"SMARTCOVER_STORGE": "file:/x", "SMARTCOVER_DATABASE_URL": "postgresql://u@127.0.0.1:1/x?sslmode=none"}
    run = subprocess.run(
        [sys.executable, "-m", "smartcover", *command],
        env={**bare, **wrong, "SMARTCOVER_LOG_FORMAT": "json"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "SMARTCOVER_STORGE is not a setting; did you mean SMARTCOVER_STORAGE?"
    assert said not in run.stdout
    lines = run.stderr.splitlines()
    logged = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert (said in logged, f"smartcover: {said}" in lines) == (stream == "log", stream == "plain")


def keys(folder: Path, *words: str, **settings: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    run = subprocess.run(
        [sys.executable, "-m", "smartcover", "keys", *words, "--json"],
        env={**environment, **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(json.loads(run.stdout))


def test_key_pairs_that_came_from_another_master_secret_are_found(tmp_path: Path) -> None:
    shared = {
        "SMARTCOVER_DATABASE_URL": cluster().make_database(),
        "SMARTCOVER_STORAGE": f"file:{tmp_path / 'objects'}",
    }
    old, new = "the first master secret", "the second master secret"

    def seen(**settings: str) -> tuple[int, str, str]:
        code, findings = doctor(tmp_path, **shared, **settings)
        return code, findings["keys of teams"]["level"], findings["keys of teams"]["seen"]

    assert seen() == (0, "ok", "there are none")
    made = keys(tmp_path, "add", "team-a", "--bucket", "teama-*", **shared, SMARTCOVER_KEYS_SECRET=old)
    code, level, text = seen()
    assert (code, level) == (1, "fail")
    assert "no master secret" in text
    code, level, text = seen(SMARTCOVER_KEYS_SECRET=new)
    assert (code, level) == (1, "fail")
    assert "another master secret" in text
    assert made["secret_id"] in text
    assert seen(SMARTCOVER_KEYS_SECRET=old)[:2] == (0, "ok")
    assert seen(SMARTCOVER_KEYS_SECRET=f"{new},{old}")[2].endswith("1 still need an older master secret")
    keys(tmp_path, "rotate", made["secret_id"], **shared, SMARTCOVER_KEYS_SECRET=f"{new},{old}")
    code, level, text = seen(SMARTCOVER_KEYS_SECRET=new)
    assert (code, level) == (0, "warn"), "the old secret is still to work, and does not here"
    code, level, _ = seen(SMARTCOVER_KEYS_SECRET="short")
    assert (code, level) == (1, "fail")


def test_a_lost_master_secret_of_a_data_folder_is_found_and_not_made_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert doctor(data)[0] == 0
    keys(tmp_path, "add", "team-a", "--bucket", "teama-*", "--data", str(data))
    assert doctor(data)[1]["keys of teams"]["level"] == "ok"
    (data / "keys.secret").unlink()
    code, findings = doctor(data)
    assert (code, findings["keys of teams"]["level"]) == (1, "fail")
    assert "restore keys.secret" in findings["keys of teams"]["advice"]
    assert not (data / "keys.secret").exists()

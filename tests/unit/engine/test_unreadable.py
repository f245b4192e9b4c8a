"""What is told of a file that no format fits."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from PIL import Image

from smartcover.engine import pick_covers
from smartcover.engine.unreadable import why_unreadable
from smartcover.errors import NotAVideo


def _picture(image_format: str, *, moving: bool = False) -> bytes:
    output = io.BytesIO()
    images = [Image.fromarray(np.full((32, 32, 3), level, dtype=np.uint8)) for level in (20, 200)]
    images[0].save(output, image_format, **({"save_all": True, "append_images": images[1:]} if moving else {}))
    return output.getvalue()


def _sound() -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return output.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_picture("JPEG"), "it is a JPEG picture; give a video, such as MP4"),
        (_picture("WEBP", moving=True), "it is a WebP picture; give a video"),
        (_sound(), "it is sound (WAV); give a video"),
        (
            "<!doctype html><title>找不到</title>\n".encode() * 40,
            "it is text, such as an error page in the video's place",
        ),
        (bytes(4096), "it is damaged, or no format that is supported here; give a video"),
    ],
    ids=["jpeg", "webp", "wav", "text", "zeros"],
)
def test_what_it_is_and_what_to_do(content: bytes, words: str) -> None:
    with pytest.raises(NotAVideo) as refusal:
        pick_covers(io.BytesIO(content))
    assert refusal.value.public.startswith(f"the file is not a video that can be read: {words}")


def test_a_head_of_nothing_or_of_one_kind_of_noise_is_no_text() -> None:
    for head in (b"", bytes(range(128, 256)) * 4, b"\x00abc"):
        assert "damaged" in why_unreadable(head)

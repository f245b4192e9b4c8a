"""Why a file is no video that can be read, as far as its first bytes tell."""

from __future__ import annotations

HEAD_BYTES = 512
"""How much of the start is looked at."""

_GIVE_A_VIDEO = "give a video, such as MP4, MOV, MKV, WebM, AVI or MPEG-TS"

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "sound (WAV)"),
    (0, b"ID3", "sound (MP3)"),
    (0, b"fLaC", "sound (FLAC)"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"%PDF", "a PDF document"),
)

_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide")


def why_unreadable(head: bytes) -> str:
    """Say what the start of a file that no format fits shows it to be, and what to do, in words for the user."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return f"it is {kind}; {_GIVE_A_VIDEO}"
    if head[4:8] in _MP4_BOXES:
        return (
            "it is an MP4 or MOV file whose index (moov) is missing or damaged, as in a download that was cut off; "
            "fetch the whole file again"
        )
    if _is_text(head):
        return f"it is text, such as an error page in the video's place; {_GIVE_A_VIDEO}"
    return f"it is damaged, or no format that is supported here; {_GIVE_A_VIDEO}"


def _is_text(head: bytes) -> bool:
    # Not strictly: the end of the head may cut a character in two.
    text = head.decode(errors="ignore")
    return len(text) * 2 > len(head) and all(character.isprintable() or character.isspace() for character in text)

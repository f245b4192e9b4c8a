"""Which uploads a workflow or a batch takes for videos: `ExtFilter`, and the list of extensions behind it."""

from __future__ import annotations

import re
from typing import Final

from smartcover.errors import BadParameter
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.messages import Message

VIDEO_EXTENSIONS: Final = frozenset(
    {
        "3gp",
        "asf",
        "avi",
        "dv",
        "flv",
        "f4v",
        "m3u8",
        "m4v",
        "mkv",
        "mov",
        "mp4",
        "mpg",
        "mpeg",
        "mts",
        "ogg",
        "rm",
        "rmvb",
        "swf",
        "vob",
        "wmv",
        "webm",
    }
)
"""The input formats of the vendor's workflow page."""
AUDIO_EXTENSIONS: Final = frozenset(["mp3", "aac", "flac", "amr", "m4a", "wma", "wav"])
IMAGE_EXTENSIONS: Final = frozenset(["jpg", "jpeg", "png", "bmp", "gif", "webp", "tiff", "tif", "heif", "heic", "avif"])

MAX_CUSTOM_EXTENSIONS: Final = 10
_EXTENSION: Final = re.compile(r"[^\s/.]{1,32}")
_KINDS: Final = ("Video", "Audio", "Image")
_FLAGS: Final = (*_KINDS, "ContentType", "Custom", "AllFile")


def extension_of(key: str) -> str:
    """Give a key's extension in lower case, without the dot; empty when it has none."""
    stem, dot, extension = key.rpartition("/")[2].rpartition(".")
    return extension.lower() if dot and stem else ""


class ExtFilter(Message):
    """
    Which objects count as inputs, told by name or Content-Type.

    Switched off, or on with nothing chosen, it takes the extensions of videos: a note beside the videos must not
    start a run that can only fail. `content_type` lets an object of the chosen kinds in by its Content-Type too,
    whatever its name.
    """

    kinds: tuple[str, ...] = ()
    content_type: bool = False
    custom_extensions: frozenset[str] = frozenset()
    all_files: bool = False

    @classmethod
    def read(cls, fields: Fields) -> ExtFilter:
        """
        Read an `ExtFilter` node.

        Raises:
            BadParameter: If a flag is no flag, or the extensions cannot be used.
        """
        if fields.choice("State", ("On", "Off")) != "On":
            return cls()
        chosen = {name for name in _FLAGS if fields.choice(name, ("true", "false")) == "true"}
        return cls(
            kinds=tuple(name for name in _KINDS if name in chosen),
            content_type="ContentType" in chosen,
            custom_extensions=_custom(fields) if "Custom" in chosen else frozenset(),
            all_files="AllFile" in chosen,
        )

    def accepts(self, key: str, content_type: str = "") -> bool:
        """Tell whether an object of that key and Content-Type is an input; a key that ends in a slash never is."""
        if key.endswith("/"):
            return False
        if self.all_files:
            return True
        kinds = self.kinds or (() if self.custom_extensions else ("Video",))
        if self.content_type and content_type.partition("/")[0].strip().lower() in {kind.lower() for kind in kinds}:
            return True
        lists = {"Video": VIDEO_EXTENSIONS, "Audio": AUDIO_EXTENSIONS, "Image": IMAGE_EXTENSIONS}
        extension = extension_of(key)
        return extension in self.custom_extensions or any(extension in lists[kind] for kind in kinds)


def _custom(fields: Fields) -> frozenset[str]:
    path = fields.path_of("CustomExts")
    words = [word.strip().removeprefix(".").lower() for word in fields.required_text("CustomExts").split("/")]
    words = [word for word in words if word]
    if not 1 <= len(words) <= MAX_CUSTOM_EXTENSIONS:
        raise BadParameter(f"{path} names {len(words)} extensions; give 1 to {MAX_CUSTOM_EXTENSIONS}, joined by /")
    for word in words:
        if _EXTENSION.fullmatch(word) is None:
            raise BadParameter(f"{path} holds {shown(word)}, which is no extension; give words such as mp4/mov")
    return frozenset(words)

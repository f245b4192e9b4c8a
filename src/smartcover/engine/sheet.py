"""The contact sheet: what was picked, why, and what was passed over, for a person to take in at a glance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from smartcover.engine.types import Cover, Picks, Rejection

_WIDTH_PX = 1280
_TITLE_SIZE = 26
_MARGIN_PX = 24
_GAP_PX = 16
_STRIP_HEIGHT_PX = 46
_RANK_WIDTH_PX = 12
"""Width of a digit of a rank, about."""
_PAPER, _INK, _FAINT, _LINE = (250, 250, 248), (28, 28, 30), (120, 120, 124), (222, 222, 218)
_GOOD = (22, 128, 82)
_KIND_COLOURS = {
    "dark": (60, 60, 70),
    "bright": (214, 178, 60),
    "flat": (150, 150, 154),
    "card": (120, 170, 190),
    "eyes": (200, 150, 120),
    "frozen": (30, 110, 150),
    "blurry": (110, 120, 190),
    "transition": (178, 104, 178),
    "duplicate": (130, 200, 140),
    "broken": (190, 60, 50),
    "unsafe": (120, 20, 60),
    "outscored": (214, 214, 210),
}
_MAX_ROWS = 6

_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJK-VF.ttc", "NotoSansSC-Regular.otf", "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc",
    "STHeiti Light.ttc", "Arial Unicode.ttf", "msyh.ttc", "simsun.ttc",
)  # fmt: skip
"""Fonts with Chinese, Japanese and Korean characters, as Linux, macOS and Windows bring or offer them."""


@dataclass(frozen=True, slots=True)
class _Fonts:
    title: ImageFont.FreeTypeFont | ImageFont.ImageFont
    strong: ImageFont.FreeTypeFont | ImageFont.ImageFont
    plain: ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_sheet(picks: Picks, title: str) -> bytes:
    """
    Draw the sheet as a JPEG.

    At the top the video; then the covers with their times, scores and reasons, the best first, six rows of them at
    most; below, a time line with the covers marked and each rejected moment in the colour of its kind, with the counts
    spelled out.
    """
    fonts = _Fonts(*(ImageFont.load_default(size) for size in (_TITLE_SIZE, 19, 16)))
    columns = min(3, max(1, len(picks.covers)))
    tile_width = (_WIDTH_PX - 2 * _MARGIN_PX - (columns - 1) * _GAP_PX) // columns
    if columns == 1:
        tile_width = min(tile_width, 760)
    shown = picks.covers[: columns * _MAX_ROWS]
    tiles = [_draw_tile(cover, rank, tile_width, fonts) for rank, cover in enumerate(shown, start=1)]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    row_heights = [max(tile.height for tile in row) for row in rows]
    legend = _count_kinds(picks.rejections)
    height = 92 + sum(row_heights) + len(rows) * _GAP_PX + 150
    sheet = Image.new("RGB", (_WIDTH_PX, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    title_font = _font_for(title, fonts.title)
    shown_title = _shorten(pen, _drawable(title, title_font), title_font, _WIDTH_PX - 2 * _MARGIN_PX)
    pen.text((_MARGIN_PX, 20), shown_title, _INK, title_font)
    facts = _facts(picks, len(shown))
    pen.text((_MARGIN_PX, 56), _shorten(pen, facts, fonts.plain, _WIDTH_PX - 2 * _MARGIN_PX), _FAINT, fonts.plain)
    top = 92
    for row, row_height in zip(rows, row_heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_MARGIN_PX + column * (tile_width + _GAP_PX), top))
        top += row_height + _GAP_PX
    _draw_time_line(pen, picks, top, fonts)
    _draw_legend(pen, legend, top + _STRIP_HEIGHT_PX + 40, fonts)
    output = io.BytesIO()
    sheet.save(output, "JPEG", quality=90, subsampling=0)
    return output.getvalue()


def _draw_tile(cover: Cover, rank: int, width: int, fonts: _Fonts) -> Image.Image:
    with Image.open(io.BytesIO(cover.image)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((width, 420), Image.Resampling.LANCZOS)
    if image.width < width // 2 and image.height < 120:
        scale = max(1, min(width // 2 // image.width, 240 // max(1, image.height)))
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    lines = [f"+ {reason}" for reason in cover.reasons]
    tile = Image.new("RGB", (width, image.height + 40 + 22 * len(lines)), _PAPER)
    tile.paste(image, (0, 0))
    pen = ImageDraw.Draw(tile)
    left, top = _RANK_WIDTH_PX * len(f"{rank}") + 10, image.height + 8
    pen.text((0, top), f"{rank}", _GOOD, fonts.strong)
    pen.text((left, top), f"at {clock(cover.seconds)}   score {cover.score:.2f}", _INK, fonts.strong)
    for number, line in enumerate(lines, start=1):
        pen.text((left, top + 6 + 22 * number), _shorten(pen, line, fonts.plain, width - left), _FAINT, fonts.plain)
    return tile


def _draw_time_line(pen: ImageDraw.ImageDraw, picks: Picks, top: int, fonts: _Fonts) -> None:
    left, right = _MARGIN_PX, _WIDTH_PX - _MARGIN_PX
    moments = [cover.seconds for cover in picks.covers] + [entry.seconds for entry in picks.rejections]
    end = max(picks.video.duration_seconds or 0.0, *moments, 0.001)
    middle = top + _STRIP_HEIGHT_PX // 2
    pen.line((left, middle, right, middle), _LINE, 3)
    for rejection in picks.rejections:
        x = left + (right - left) * rejection.seconds / end
        pen.rectangle((x - 2, middle - 9, x + 2, middle + 9), _KIND_COLOURS[rejection.kind])
    for rank, cover in reversed([*enumerate(picks.covers, start=1)]):  # where they overlap, the best lies on top
        x = left + (right - left) * cover.seconds / end
        pen.ellipse((x - 12, middle - 12, x + 12, middle + 12), _GOOD)
        pen.text((x, middle), str(rank), (255, 255, 255), fonts.plain, anchor="mm")
    pen.text((left, middle + 20), "0:00", _FAINT, fonts.plain)
    pen.text((right, middle + 20), clock(end), _FAINT, fonts.plain, anchor="ra")


def _draw_legend(pen: ImageDraw.ImageDraw, legend: Sequence[tuple[str, int]], top: int, fonts: _Fonts) -> None:
    if not legend:
        pen.text((_MARGIN_PX, top), "No moment that was looked at had to be passed over.", _FAINT, fonts.plain)
        return
    pen.text((_MARGIN_PX, top), "Passed over:", _FAINT, fonts.plain)
    x = left = _MARGIN_PX + 110
    for kind, count in legend:
        text = f"{count} {kind}"
        width = 20 + round(pen.textlength(text, fonts.plain))
        if x + width > _WIDTH_PX - _MARGIN_PX:
            x, top = left, top + 26
        pen.rectangle((x, top + 3, x + 12, top + 15), _KIND_COLOURS[kind])
        pen.text((x + 20, top), text, _INK, fonts.plain)
        x += width + 28


def _facts(picks: Picks, shown: int) -> str:
    video = picks.video
    parts = [f"{video.width_px} x {video.height_px}", video.codec]
    if video.duration_seconds is not None:
        parts.insert(0, clock(video.duration_seconds))
    if video.hdr:
        parts.append(f"HDR ({video.hdr.upper()}), shown as SDR")
    if shown < len(picks.covers):
        parts.append(f"the first {shown} of {len(picks.covers)} covers")
    parts += filter(None, (picks.unseen, picks.fallback))
    return "   ".join(parts)


def _count_kinds(rejections: Sequence[Rejection]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for rejection in rejections:
        counts[rejection.kind] = counts.get(rejection.kind, 0) + 1
    return sorted(counts.items(), key=lambda entry: -entry[1])


def _font_for(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Give the font that comes with Pillow, or one of the system where that lacks characters, such as Chinese ones."""
    if _drawable(text, font) == text:
        return font
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, _TITLE_SIZE)
        except OSError:
            continue
    return font


def _drawable(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Put an underscore for each character that a font lacks."""
    missing = bytes(font.getmask("\uffff"))
    return "".join(
        "_" if not character.isspace() and bytes(font.getmask(character)) == missing else character
        for character in text
    )


def _shorten(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."


def clock(seconds: float) -> str:
    """Write a time as people read it: 7.40 s, 1:07.4, 1:02:03."""
    if round(seconds, 2) < 60:
        return f"{seconds:.2f} s"
    minutes, tenths = divmod(round(seconds * 10), 600)
    if minutes < 60:
        return f"{minutes}:{tenths / 10:04.1f}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths // 10:02d}"

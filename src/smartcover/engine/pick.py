"""The steps in order: open, look, score, look closer, choose, render; the budget is checked between and inside them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smartcover.engine import safety
from smartcover.engine.budget import Budget
from smartcover.engine.candidates import Gatherer, Look
from smartcover.engine.colour import ColourConverter
from smartcover.engine.company import Member, company_signals
from smartcover.engine.damage import blockiness
from smartcover.engine.decode import Decoded, deinterlace
from smartcover.engine.defects import WORDY_LINES, Clip, Defect, find_defect, wreckage
from smartcover.engine.faces import FaceFinder
from smartcover.engine.framing import framing
from smartcover.engine.geometry import Box, square_pixel_size
from smartcover.engine.letterbox import find_content
from smartcover.engine.render import encode, render
from smartcover.engine.scorer_hook import UserScorer
from smartcover.engine.scoring import Score, score_all
from smartcover.engine.selection import Candidate, Selection, select
from smartcover.engine.sessions import Runtime
from smartcover.engine.signals import difference
from smartcover.engine.source import Source
from smartcover.engine.steadiness import steadied
from smartcover.engine.study import Networks, Studied, study
from smartcover.engine.types import Cover, CoverOptions, Limits, Picks, Rejection, SeekableReader, VideoInfo
from smartcover.errors import BadParameter, NoFrames, NoSafeFrame

_CLOSER_ROUNDS = 4
_UNSEEN_ROUNDS = _UNREAD_ROUNDS = 6
_COMPARED, _MOST_COMPARED = 3, 6
"""How many others are read when all finalists show much text; and how many may have been read before."""

_SPARE_FINALISTS = 2
_SPARE_CLOSER_LOOKS = 4
_SAME_SHOT = 20.0
"""Distance of signatures up to which two pictures shortly after each other are one shot."""

_SHARPER, _EYES_OPENED = 1.15, 0.25
"""What an instant beside a chosen moment must gain; smaller differences of frames are noise (docs/quality.md)."""

_BLOCKS_SEEN_PX = 480
"""Side of the part of a cover in which blocks of compression are looked for; they are the same all over."""


def pick_covers(
    video: str | os.PathLike[str] | SeekableReader,
    options: CoverOptions,
    *,
    limits: Limits,
    on_progress: Callable[[str, float], None] | None = None,
    find_faces: FaceFinder | None = None,
) -> Picks:
    """Do what `smartcover.engine.pick_covers` promises. `find_faces` replaces the vendored detector."""
    budget = Budget(limits)
    picker = _Picker(video, options, budget, on_progress, find_faces)
    # An index or seeking that misleads must not cost a video its cover, nor damage everywhere.
    for attempt in (_Attempt(), _Attempt(reading_on=True), _Attempt(reading_on=True, strict=False)):
        picks = picker.run(attempt)
        if picks is not None:
            return picks
    raise NoFrames("No frame of the video can be decoded; the file may be damaged or incomplete")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to read a video. Without `strict`, frames that decoded with errors are taken too."""

    reading_on: bool = False
    strict: bool = True


class _Picker:
    def __init__(
        self,
        video: str | os.PathLike[str] | SeekableReader,
        options: CoverOptions,
        budget: Budget,
        on_progress: Callable[[str, float], None] | None,
        find_faces: FaceFinder | None,
    ) -> None:
        self._video, self._options, self._budget = video, options, budget
        self._progress = on_progress or (lambda _step, _share: None)
        self._networks = _networks(options, find_faces)
        self._converter = ColourConverter()
        self._timings: dict[str, float] = {}
        self._compared: tuple[tuple[Look, ...], list[dict[str, float]]] = ((), [])

    def run(self, attempt: _Attempt) -> Picks | None:
        """Try one way; None when it shows no usable frame."""
        with self._step("open", 0.0):
            source = Source(self._video, self._budget, strict=attempt.strict, gpu=self._options.gpu)
        with source:
            gatherer = Gatherer(source, lambda share: self._progress("look", 0.05 + 0.6 * share))
            with self._step("look", 0.05):
                looks = gatherer.gather_reading_on() if attempt.reading_on else gatherer.gather()
            if not looks or (attempt.strict and all(look.damage for look in looks)):
                return None
            with self._step("score", 0.65):
                studied = self._study(gatherer, sorted(looks, key=lambda look: look.pts))
            with self._step("networks", 0.7):
                studied = self._see_best(studied)
            with self._step("closer", 0.8):
                studied = self._look_closer(gatherer, studied)
            with self._step("render", 0.9):
                covers, selection = self._render_best(gatherer, studied)
            info = gatherer.info()
        rejections = _rejections(studied, selection, self._judge(studied)[0])
        self._timings["total"] = self._budget.elapsed_seconds()
        self._progress("done", 1.0)
        return Picks(_with_duration(info, looks), covers, rejections, selection.fallback, self._timings)

    @contextmanager
    def _step(self, name: str, share: float) -> Iterator[None]:
        self._budget.check_time()
        self._progress(name, share)
        started = time.perf_counter()
        yield
        self._timings[name] = self._timings.get(name, 0.0) + time.perf_counter() - started

    # Scoring.

    def _study(self, gatherer: Gatherer, looks: list[Look]) -> list[Studied]:
        studied = []
        for look in looks:
            self._budget.check_time()
            studied.append(study(look, gatherer.facts.orientation))
        return studied

    def _judge(self, studied: list[Studied]) -> tuple[list[Defect | None], list[Score]]:
        company = self._company(studied)
        known = [{**entry.signals, **signals} for entry, signals in zip(studied, company, strict=True)]
        intact = [signals for entry, signals in zip(studied, known, strict=True) if not entry.look.damage]
        clip = Clip.of(intact or known[:1])
        defects = [
            find_defect(signals, clip, broken=entry.look.damage > 0)
            for entry, signals in zip(studied, known, strict=True)
        ]
        return defects, score_all([entry.signals for entry in studied])

    def _company(self, studied: list[Studied]) -> list[dict[str, float]]:
        """Compare the looks with each other; once for the same looks, as networks add nothing that is compared."""
        looks = tuple(entry.look for entry in studied)
        if looks != self._compared[0]:
            members = [
                Member(look.seconds, look.glance, [one.glance for one in look.neighbours], entry.signals)
                for look, entry in zip(looks, studied, strict=True)
            ]
            self._compared = looks, company_signals(members)
        return self._compared[1]

    def _see_best(self, studied: list[Studied]) -> list[Studied]:
        """Look for faces in all clean candidates; show the other networks the best by what is known then."""
        defects, _scores = self._judge(studied)
        result = list(studied)
        for index, defect in enumerate(defects):
            self._budget.check_time()
            if defect is None:
                result[index] = self._networks.find(studied[index])
        defects, scores = self._judge(result)
        order = sorted(range(len(result)), key=lambda index: (defects[index] is not None, -scores[index].value, index))
        for index in order[: self._budget.limits.networks_on]:
            self._budget.check_time()
            result[index] = self._networks.look(result[index])
        return result

    def _look_closer(self, gatherer: Gatherer, studied: list[Studied]) -> list[Studied]:
        """
        Decode on a little from the finalists that were seen alone, and take the better instant of each.

        Alone, a keyframe in the middle of a fade looks like a soft picture. When that costs a finalist its place,
        the next best is looked at in turn.
        """
        result = list(studied)
        wanted = self._options.count + _SPARE_FINALISTS
        looked, most = 0, self._options.count + _SPARE_CLOSER_LOOKS
        for _round in range(_CLOSER_ROUNDS):
            selection = self._see_chosen(result, wanted, _UNSEEN_ROUNDS)
            pending = [
                entry.index
                for entry in selection.chosen
                if not result[entry.index].closer and not result[entry.index].look.neighbours
            ]
            if not pending:
                break
            for index in pending:
                if self._budget.sampling_is_over or looked >= most:
                    return result
                looked += 1
                result[index] = self._closer(gatherer, result, index)
        return result

    def _see_chosen(self, studied: list[Studied], wanted: int, rounds: int) -> Selection:
        """Choose finalists; show the networks, in place, those not seen yet, read those in front, and choose again."""
        for number in range(rounds):
            selection = self._select(studied, count=wanted)
            chosen = [entry.index for entry in selection.chosen]
            unseen = [index for index in chosen if studied[index].meaning is None]
            front = chosen[: self._options.count] if number < _UNREAD_ROUNDS else ()
            unread = [index for index in front if not studied[index].is_read]
            if not unseen and not unread:
                break
            self._budget.check_time()
            for index in unseen:
                studied[index] = self._networks.look(studied[index])
            for index in unread:
                studied[index] = self._networks.read(studied[index])
            for index in _to_read_for_comparison(studied) if unread else ():
                studied[index] = self._networks.read(studied[index])
        return selection

    def _closer(self, gatherer: Gatherer, studied: list[Studied], index: int) -> Studied:
        """Take the best of the instants after a keyframe that was seen alone, judged as all other moments are."""
        entry = studied[index]
        kept = self._instants(gatherer, studied, entry)
        if not kept:
            return replace(entry, closer=True)
        defects, scores = self._judge([*kept, *studied])
        best = max(range(len(kept)), key=lambda place: (defects[place] is None, scores[place].value))
        return replace(kept[best], closer=True)

    def _settle(self, gatherer: Gatherer, studied: list[Studied], index: int) -> Studied:
        """
        Leave a moment between keyframes for an instant beside it that is plainly better, now that it is a cover.

        It was chosen with what surrounds it, so its place among the covers stays.
        """
        entry = studied[index]
        if entry.closer or not entry.look.neighbours:
            return entry
        kept = self._instants(gatherer, studied, entry)
        if not kept:
            return entry
        here = min(kept, key=lambda instant: abs(instant.look.pts - entry.look.pts))
        defects, scores = self._judge([*kept, *studied])
        better = [
            place
            for place, instant in enumerate(kept)
            if defects[place] is None and _plainly_better(instant.signals, here.signals)
        ]
        return kept[max(better, key=lambda place: scores[place].value)] if better else entry

    def _instants(self, gatherer: Gatherer, studied: list[Studied], entry: Studied) -> list[Studied]:
        """Look at a moment and at the instants around it that show the same picture; none where that costs too much."""
        looks = [look for look in gatherer.look_closer(entry.look) if not look.damage]
        if not looks:
            return []
        first = min(looks, key=lambda look: abs(look.pts - entry.look.pts))
        others = {other.look.pts for other in studied if other is not entry}
        instants = [
            study(look, gatherer.facts.orientation) for look in looks if look is first or look.pts not in others
        ]
        # A cut may lie between: what was chosen is the picture on this side of it.
        kept = [
            instant
            for instant in instants
            if instant.look is first or difference(instant.signature, entry.signature) <= _SAME_SHOT
        ]
        return [self._networks.look_again(instant, entry) for instant in kept] if entry.meaning is not None else kept

    def _select(
        self, studied: list[Studied], *, count: int | None = None, without: frozenset[int] = frozenset()
    ) -> Selection:
        defects, scores = self._judge(studied)
        values = _steadied(studied, defects, scores)
        candidates = [
            Candidate(
                index,
                entry.look.seconds,
                _standing(entry, values[index], defects[index]),
                entry.signature,
                defects[index],
                entry.meaning,
            )
            for index, entry in enumerate(studied)
            if index not in without
        ]
        return select(candidates, replace(self._options, count=count) if count else self._options)

    # Rendering.

    def _render_best(self, gatherer: Gatherer, studied: list[Studied]) -> tuple[tuple[Cover, ...], Selection]:
        """Render the chosen; one whose packets do not decode again makes room for the next best."""
        content = find_content([entry.look.picture for entry in studied]) if self._options.crop_letterbox else None
        # Whatever the closer looks left, no cover is taken that the networks did not see.
        self._see_chosen(studied, self._options.count, len(studied) + 1)
        defects, scores = self._judge(studied)
        values = _steadied(studied, defects, scores)
        scores = [replace(score, value=value) for score, value in zip(scores, values, strict=True)]
        failed: set[int] = set()
        rendered: dict[int, Cover] = {}
        while True:
            selection = self._select(studied, without=frozenset(failed))
            for entry in selection.chosen:
                if entry.index in rendered:
                    continue
                self._budget.check_time()
                shown = self._settle(gatherer, studied, entry.index)
                cover = self._render_one(gatherer, shown, scores[entry.index], content)
                if cover is None:
                    failed.add(entry.index)
                    break
                rendered[entry.index] = cover
            else:
                if not selection.chosen and self._options.safety and not failed:
                    raise NoSafeFrame
                if not selection.chosen:
                    raise NoFrames("No frame of the video can be decoded twice; the file may be damaged")
                return tuple(rendered[entry.index] for entry in selection.chosen), selection

    def _render_one(self, gatherer: Gatherer, entry: Studied, score: Score, content: Box | None) -> Cover | None:
        decoded = _decode_again(gatherer, entry.look)
        if decoded is None:
            return None
        frame = deinterlace(decoded.frame) if decoded.frame.interlaced_frame else decoded.frame
        orientation = gatherer.orientation_of_cover(decoded.frame)
        picture = orientation.apply(self._converter.full(frame))
        square = orientation.swap(square_pixel_size(frame.width, frame.height, gatherer.facts.pixel_aspect))
        pts = decoded.pts
        # The decoded frame of an 8K video is 50 MB; it is not needed while the cover is resized and encoded.
        del decoded, frame
        signals = {**entry.signals, **_described(entry, picture)}
        faces = _shares(entry)
        if content is not None:
            picture, square, faces = _cut(picture, square, faces, content)
        image = render(picture, square, self._options, faces)
        return Cover(
            image=encode(image, self._options.format, self._options.quality),
            format=self._options.format,
            width_px=image.shape[1],
            height_px=image.shape[0],
            seconds=entry.look.seconds,
            pts=pts,
            score=min(1.0, max(0.0, score.value)),
            signals=signals,
            reasons=score.reasons,
        )


def _to_read_for_comparison(studied: list[Studied]) -> list[int]:
    """
    Choose what else to read when all that was read shows much text: the moments that look least like those.

    Whether lines of text are credits or what the video is made of shows only beside other moments of it.
    """
    read = [entry for entry in studied if entry.is_read]
    if min(entry.signals["text_lines"] for entry in read) < WORDY_LINES or len(read) > _MOST_COMPARED:
        return []
    signatures = np.stack([entry.signature for entry in studied])
    chosen: list[int] = []
    for _place in range(_COMPARED):
        known = [entry.signature for entry in studied if entry.is_read] + [signatures[index] for index in chosen]
        apart = [
            -1.0 if entry.is_read or index in chosen else min(difference(entry.signature, other) for other in known)
            for index, entry in enumerate(studied)
        ]
        if max(apart) <= 0:
            break
        chosen.append(int(np.argmax(apart)))
    return chosen


def _steadied(studied: list[Studied], defects: list[Defect | None], scores: list[Score]) -> list[float]:
    steady = steadied(
        [score.value - score.momentary for score in scores],
        [defect is None for defect in defects],
        [float(entry.look.pts) for entry in studied],
        np.stack([entry.signature for entry in studied]),
    )
    return [value + score.momentary for value, score in zip(steady, scores, strict=True)]


def _networks(options: CoverOptions, find_faces: FaceFinder | None) -> Networks:
    """
    Prepare the networks that the options ask for.

    Raises:
        BadParameter: If the safety network is not installed, or the scorer cannot serve.
    """
    if options.safety and not safety.available():
        raise BadParameter(
            'the safety check needs its network, which is not installed: pip install "smartcover[safety]"'
        )
    runtime = Runtime(gpu=options.gpu)
    scorer = None if options.scorer is None else UserScorer.load(Path(options.scorer), runtime)
    return Networks(find_faces, runtime, options.safety, scorer)


def _standing(entry: Studied, value: float, defect: Defect | None) -> float:
    """
    Say how a candidate stands in the choice.

    Among broken frames the garbage itself would score as rich detail: there the least broken stands first. The
    caller's own score counts as much as ours, and a doubtful frame loses up to half a score.
    """
    if defect is not None and defect.kind == "broken":
        return value - wreckage(entry.signals)
    doubt = (entry.signals.get("unsafe", 0.0) - safety.DOUBT_FROM) / (safety.REJECT_FROM - safety.DOUBT_FROM)
    return (value + entry.signals.get("own_score", value)) / 2 - 0.5 * min(1.0, max(0.0, doubt))


def _decode_again(gatherer: Gatherer, look: Look) -> Decoded | None:
    """Decode a look's packets again and give the frame of its time stamp, or the nearest."""
    nearest: Decoded | None = None
    for decoded in gatherer.reader.decode(look.run, finely=True):
        if nearest is None or abs(decoded.pts - look.pts) < abs(nearest.pts - look.pts):
            nearest = decoded
        if decoded.pts == look.pts:
            break
    return nearest


def _shares(entry: Studied) -> tuple[Box, ...]:
    rows, columns = entry.look.picture.shape[:2]
    return tuple(face.box.scaled(1 / columns, 1 / rows) for face in entry.faces or ())


def _plainly_better(instant: Mapping[str, float], moment: Mapping[str, float]) -> bool:
    """Tell whether an instant is clearly sharper than a moment beside it, or its eyes are open and the other's not."""
    opened = instant.get("eyes_open", 0.0) - moment.get("eyes_open", 0.0)
    sharper = instant["sharpness"] > _SHARPER * moment["sharpness"]
    return opened > _EYES_OPENED or (sharper and opened > -_EYES_OPENED)


def _described(entry: Studied, picture: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Tell of a cover what has no weight in its choice (docs/quality.md): its framing, and blocks of compression."""
    framed = framing(entry.look.picture)
    rows, columns = (max(0, side - _BLOCKS_SEEN_PX) // 2 for side in picture.shape[:2])
    middle = picture[rows : rows + _BLOCKS_SEEN_PX, columns : columns + _BLOCKS_SEEN_PX]
    return {
        "thirds": framed.thirds,
        "cut_off": framed.cut_off,
        "subject_contrast": framed.subject_contrast,
        "subject_sharpness": framed.subject_sharpness,
        "blockiness": blockiness(np.ascontiguousarray(middle)),
    }


def _cut(
    picture: npt.NDArray[np.uint8], square: tuple[int, int], faces: tuple[Box, ...], content: Box
) -> tuple[npt.NDArray[np.uint8], tuple[int, int], tuple[Box, ...]]:
    """Keep only the content box (in shares) of a picture."""
    rows, columns = picture.shape[:2]
    top, bottom = round(content.top * rows), max(1, round(content.bottom * rows))
    left, right = round(content.left * columns), max(1, round(content.right * columns))
    cut_square = max(1, round(square[0] * content.width)), max(1, round(square[1] * content.height))
    moved = tuple(
        Box(face.left - content.left, face.top - content.top, face.width, face.height).scaled(
            1 / content.width, 1 / content.height
        )
        for face in faces
    )
    return np.ascontiguousarray(picture[top:bottom, left:right]), cut_square, moved


def _rejections(studied: list[Studied], selection: Selection, defects: list[Defect | None]) -> tuple[Rejection, ...]:
    chosen = {entry.index for entry in selection.chosen}
    duplicates = {entry.index for entry in selection.duplicates}
    rejections = []
    for index, (entry, defect) in enumerate(zip(studied, defects, strict=True)):
        if index in chosen:
            continue
        if defect is not None:
            rejections.append(Rejection(entry.look.seconds, defect.kind, defect.reason, dict(entry.signals)))
        elif index in duplicates:
            reason = "it shows the same picture as a better frame"
            rejections.append(Rejection(entry.look.seconds, "duplicate", reason, dict(entry.signals)))
    return tuple(rejections)


def _with_duration(info: VideoInfo, looks: list[Look]) -> VideoInfo:
    """Where no header tells the duration, the last moment seen is the best answer."""
    if info.duration_seconds is not None or not looks:
        return info
    last = max(look.seconds for look in looks)
    return replace(info, duration_seconds=last + float(Fraction(1, 25)))

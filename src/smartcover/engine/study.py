"""From a moment that was decoded to all that is known of it: cheap signals at once, those of the networks on demand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smartcover.engine import embedding
from smartcover.engine.appeal import appeal
from smartcover.engine.arrays import Floats
from smartcover.engine.cards import card_signals
from smartcover.engine.composition import composition_signals
from smartcover.engine.faces import Face, FaceFinder, YuNet
from smartcover.engine.geometry import Orientation
from smartcover.engine.looks import Look
from smartcover.engine.moments import moment_signals
from smartcover.engine.portraits import portrait_signals
from smartcover.engine.safety import unsafe
from smartcover.engine.scorer_hook import UserScorer
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime
from smartcover.engine.signals import Prepared, prepare, signals_of, signature, streaks, time_signals
from smartcover.engine.text import text_area
from smartcover.engine.transitions import transition_signals
from smartcover.engine.types import Signals

MEANING = ("recognisable", "centre_recognisable", "appeal")
"""Signals that the embedding network gives: what a picture shows, and how well."""

_LASTING = (*MEANING, "text_lines", "text_share")
"""Signals of networks that stay for longer than the fraction of a second between instants of one moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Studied:
    """
    A look with what is known of it. `fineness` is the picture's (see signals.py).

    `faces` is None until they were looked for, `meaning` and `recognised` (see embedding.py: the vector, and the
    strength at each place) until all networks saw the picture.
    `closer` when the instants around it were looked at.
    """

    look: Look
    signature: Floats
    signals: Signals
    fineness: Floats
    faces: tuple[Face, ...] | None = None
    meaning: Floats | None = None
    recognised: Floats | None = None
    closer: bool = False

    @property
    def is_read(self) -> bool:
        """Whether its text was looked for."""
        return "text_lines" in self.signals


def study(look: Look, orientation: Orientation) -> Studied:
    """Compute the cheap signals of a look. `orientation` turns its glances as its picture was turned."""
    prepared = prepare(look.picture)
    signals = {
        **signals_of(prepared),
        **composition_signals(prepared),
        **card_signals(prepared),
        **transition_signals(prepared),
        **_in_time(look, prepared, orientation),
        "damage": float(look.damage),
    }
    if look.suspect:
        signals["streaks"] = streaks(look.picture)
    return Studied(look, signature(look.glance), signals, prepared.fineness)


def study_again(entry: Studied, look: Look, orientation: Orientation) -> Studied:
    """Add what surrounds a picture to what is known of it; `look` shows the picture that `entry` showed alone."""
    return replace(entry, look=look, signals={**entry.signals, **_in_time(look, prepare(look.picture), orientation)})


def _in_time(look: Look, prepared: Prepared, orientation: Orientation) -> Signals:
    neighbours = [(entry.offset_seconds, entry.glance) for entry in look.neighbours]
    upright = [(offset, orientation.apply(glance)) for offset, glance in neighbours]
    return {
        **time_signals(look.glance, neighbours),
        **moment_signals(prepared, orientation.apply(look.glance), upright),
    }


@dataclass(slots=True)
class Networks:
    """
    What the networks see in pictures; each is opened when first used. `find_faces` replaces the face detector.

    With `safety` the signal `unsafe` is added, with `scorer` the signal `own_score`, both 0 to 1.
    """

    find_faces: FaceFinder | None = None
    runtime: Runtime = field(default=DEFAULT_RUNTIME)
    safety: bool = False
    scorer: UserScorer | None = None

    def find(self, entry: Studied, *, may_have_faces: bool = True) -> Studied:
        """
        Add faces and their signals: cheap enough for every candidate, and a face may be why a frame is the cover.

        Without `may_have_faces` none are looked for.
        """
        if self.find_faces is None:
            self.find_faces = YuNet(self.runtime)
        picture = entry.look.picture
        faces = tuple(self.find_faces.find(picture)) if may_have_faces else ()
        return replace(entry, signals={**entry.signals, **portrait_signals(picture, faces, self.runtime)}, faces=faces)

    def look(self, entry: Studied) -> Studied:
        """Add meaning, and faces where they are missing, and their signals."""
        seen = embedding.see(entry.look.picture, self.runtime)
        meaning = {
            "recognisable": seen.recognisable,
            "centre_recognisable": seen.centre_recognisable,
            "appeal": appeal(seen.stages),
        }
        known = replace(
            entry,
            signals={**entry.signals, **meaning},
            meaning=seen.meaning,
            recognised=seen.strength,
        )
        return self._asked(known if known.faces is not None else self.find(known))

    def look_again(self, instant: Studied, seen: Studied) -> Studied:
        """
        Look at an instant a fraction of a second from a moment that was seen: what it means has not changed.

        Faces may have: eyes shut and heads turn. Where there were none, none are looked for.
        """
        kept = {name: seen.signals[name] for name in _LASTING if name in seen.signals}
        known = replace(instant, signals={**instant.signals, **kept}, meaning=seen.meaning, recognised=seen.recognised)
        return self._asked(self.find(known, may_have_faces=bool(seen.faces)))

    def _asked(self, entry: Studied) -> Studied:
        """Add what only the caller's options ask for."""
        picture, signals = entry.look.picture, dict(entry.signals)
        if self.safety:
            signals["unsafe"] = unsafe(picture, self.runtime)
        if self.scorer is not None:
            signals["own_score"] = self.scorer.score(picture)
        return replace(entry, signals=signals)

    def read(self, entry: Studied) -> Studied:
        """Add how much text there is; dearer than it is often worth, so only finalists are read."""
        text = text_area(entry.look.picture, self.runtime)
        return replace(entry, signals={**entry.signals, "text_lines": float(text.lines), "text_share": text.share})

"""Loads the decoder's libraries; imported once, by the fork server, so that each child inherits them loaded."""

from __future__ import annotations

from smartcover import engine

engine.preload()

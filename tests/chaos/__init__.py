"""Runs in which whatever can fail does, and the invariants of docs/invariants.md are all that is asserted."""

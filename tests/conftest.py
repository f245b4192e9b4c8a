"""Logs in the tests' own process: from `info` on, where a test says nothing else; debug lines drown its output."""

from __future__ import annotations

import logging

import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))

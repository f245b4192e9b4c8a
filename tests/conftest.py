"""
For all tests: logs from `info` on, as debug lines drown the output, and no limit in time for one example of a property.

How long an example takes tells on a busy machine of the machine alone.
"""

from __future__ import annotations

import logging

import hypothesis
import structlog

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))

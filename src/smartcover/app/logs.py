"""
How log lines look: one event each, with its fields, on standard error.

Whoever works on a job, a delivery or a request binds its id as a context variable, and every line written meanwhile
carries it, those of libraries too.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import structlog

from smartcover.settings import Settings, strange_variables

_log = structlog.get_logger(__name__)

#: The query of an address may hold a signature or a token, and nothing that a log needs.
_QUERY: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?#\"'<>\\]+)\?[^\s\"'<>\\]+", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/?#:@\"']*):[^\s/?#@\"']+@", re.IGNORECASE)
_SIGNATURE: Final = re.compile(r"(q-signature=|x-amz-signature=|whsec_|bearer |basic )[\w+/=.~-]+", re.IGNORECASE)


def shorten(text: str) -> str:
    """Take out of a log line what opens doors: queries and passwords of addresses, signatures, secrets of webhooks."""
    text = _QUERY.sub(r"\1?…", text)
    text = _PASSWORD.sub(r"\1:…@", text)
    return _SIGNATURE.sub(r"\1…", text)


def _discreet(_logger: Any, _method: str, rendered: Any) -> str:
    return shorten(str(rendered))


def configure_logs(settings: Settings) -> None:
    """Send structlog and the libraries' own logging to standard error in the form that the settings ask for."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    last.append(_discreet)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("uvicorn.access", "asyncio", "alembic"):
        logging.getLogger(chatty).setLevel("WARNING")


def log_strange_variables() -> None:
    """Warn of variables of the environment that look like settings and are none."""
    for line in strange_variables():
        _log.warning(line)

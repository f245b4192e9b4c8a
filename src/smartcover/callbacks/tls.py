"""Whom to trust when a callback goes over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from smartcover.errors import SettingsError


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """
    Make a context that verifies certificates and names, by the system's authorities or those of a file.

    Raises:
        SettingsError: If the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise SettingsError(f"SMARTCOVER_CALLBACK_CA_FILE={ca_file} cannot be used: {reason}") from error

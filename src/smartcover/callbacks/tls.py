"""Whom to trust when a callback goes over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from smartcover.errors import SettingsError

#: What OpenSSL calls a certificate whose issuer is not known here: its own, one in its chain, and either left out.
_ISSUER_UNKNOWN: Final = frozenset({18, 19, 20, 21})


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


def untrusted(error: Exception) -> str:
    """Say why a certificate is not trusted, with the way out where there is one on this side."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error}"
    unknown = error.verify_code in _ISSUER_UNKNOWN
    way_out = "; if its CA is one of your own, add it to the file of SMARTCOVER_CALLBACK_CA_FILE" if unknown else ""
    return f"the certificate is not trusted: {error.verify_message}{way_out}"

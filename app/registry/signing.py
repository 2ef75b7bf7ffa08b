"""Read the key that verifies signatures of model versions, as configured in the settings."""

from __future__ import annotations

import modelstore
from app.errors import ConfigurationError
from app.settings import Settings
from modelstore import SigningKey


def signing_key(settings: Settings) -> SigningKey | None:
    """Return the key, or None if the settings require no signatures.

    Raises:
        ConfigurationError: if the key file cannot be used.
    """
    if settings.signing_key_file is None:
        return None
    try:
        return SigningKey.read(settings.signing_key_file)
    except modelstore.InvalidKey as error:
        raise ConfigurationError(f"TABSERVE_SIGNING_KEY_FILE: {error}") from error

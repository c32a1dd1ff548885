"""The shopper encoders by name, and where their training lives.

Only texts here: the modules named import JAX, and whoever asks for names (the config, the CLI)
must not. Serving never comes here; it has ``encoders.ENCODERS``.
"""

from __future__ import annotations

from collections.abc import Mapping

GUIDE_ENCODERS: Mapping[str, str] = {
    "bag": "fedguide.models.guide_net",
    "transformer": "fedguide.models.transformer",
}
"""Encoder name to the module with its ``shapes``, ``init`` and ``encode``."""

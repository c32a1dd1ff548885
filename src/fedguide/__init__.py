"""A privacy-preserving AI shopping guide trained by federated learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "build_process"]

if TYPE_CHECKING:
    from fedguide.horizontal.local import Model
    from fedguide.runtime.process import build_process


def __getattr__(name: str) -> Any:
    """Gives the Python API on first use, so that importing the package stays light."""
    if name == "build_process":
        from fedguide.runtime.process import build_process

        return build_process
    if name == "Model":
        from fedguide.horizontal.local import Model

        return Model
    raise AttributeError(f"module 'fedguide' has no attribute {name!r}")

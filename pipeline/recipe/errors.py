"""The error that every reader of this room raises."""

from __future__ import annotations

from storage_init.base.errors import WarmstartError


class RecipeError(WarmstartError):
    """A recipe cannot be read, or asks for something that does not exist."""

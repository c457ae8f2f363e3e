"""What can be wrong with a recipe."""

from __future__ import annotations

from storage_init.base.errors import WarmstartError


class RecipeError(WarmstartError):
    """A recipe cannot be read or asks for what does not exist."""

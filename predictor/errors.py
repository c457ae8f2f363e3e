"""Why a model did not become ready, one class a check."""

from __future__ import annotations

from storage_init.errors import WarmstartError


class NoVariantError(WarmstartError):
    """No variant of the package can run on this host."""


class SelfTestError(WarmstartError):
    """The model does not answer as it did when it was prepared; the message says by how much."""


class WarmupError(WarmstartError):
    """An inference failed before the first request was let in."""


class UnsupportedModelError(WarmstartError):
    """A folder holds nothing this predictor can serve."""

"""Metadata of the server, the same over REST and gRPC."""

from __future__ import annotations

from importlib import metadata
from typing import Any

EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]
INFERENCE_SERVICE = "inference.GRPCInferenceService"


def server_metadata() -> dict[str, Any]:
    """V2 server metadata."""
    return {
        "name": "warmstart",
        "version": metadata.version("warmstart"),
        "extensions": EXTENSIONS,
    }

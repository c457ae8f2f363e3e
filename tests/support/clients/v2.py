"""V2 requests over REST as clients write them, and answers as they read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def text_request(texts: Sequence[str], **parameters: Any) -> dict[str, Any]:
    """A body that asks for texts; its id is "7"."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    return {"id": "7", "inputs": [tensor], "parameters": parameters}


def outputs_of(body: dict[str, Any]) -> dict[str, Any]:
    """An answer's outputs by name, in their shapes."""
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in body["outputs"]
    }

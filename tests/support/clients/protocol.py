"""Check bodies against the Open Inference Protocol's own REST schema.

``open_inference_rest.yaml`` is the protocol's, unchanged, under the Apache License 2.0 that it
names: github.com/kserve/open-inference-protocol, specification/protocol/open_inference_rest.yaml,
commit d49cc23f89d7.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

_SCHEMA = Path(__file__).with_name("open_inference_rest.yaml")
_DOCUMENT = yaml.safe_load(_SCHEMA.read_text())


def check(body: Any, name: str) -> None:
    """Check a JSON body against one of the protocol's schemas.

    Raises:
        jsonschema.ValidationError: the body does not fit; the message says where.
    """
    assert name in _DOCUMENT["components"]["schemas"]
    Draft7Validator({"$ref": f"#/components/schemas/{name}", **_DOCUMENT}).validate(body)

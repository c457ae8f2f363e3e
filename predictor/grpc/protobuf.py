"""KServe's protobuf and gRPC modules, imported without ``kserve`` itself.

The initialiser of ``kserve`` imports a Kubernetes client and the models of every custom resource,
which takes most of a second and which a predictor does not need. The two generated modules need
none of it, so they are imported with an empty package in its place.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = "kserve"
_ABOVE = ("kserve", "kserve.protocol", "kserve.protocol.grpc")


@contextmanager
def _bare_package() -> Iterator[None]:
    if _PACKAGE in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError("kserve is not installed: install warmstart[predictor]")
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        # A later import of kserve makes its packages again and finds the two modules loaded.
        for name in _ABOVE:
            sys.modules.pop(name, None)


with _bare_package():
    pb2: Any = importlib.import_module("kserve.protocol.grpc.grpc_predict_v2_pb2")
    pb2_grpc: Any = importlib.import_module("kserve.protocol.grpc.grpc_predict_v2_pb2_grpc")

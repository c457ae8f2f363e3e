"""KServe's protobuf and gRPC modules, without what ``import kserve`` brings along.

The package's initialiser imports a Kubernetes client and the models of every custom resource,
most of a second for nothing a predictor needs. The two generated modules import none of it, so
while they are imported a bare package stands in for the real one.
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
        # A later import of kserve makes its packages anew and finds the two modules in them.
        for name in _ABOVE:
            sys.modules.pop(name, None)


with _bare_package():
    pb2: Any = importlib.import_module("kserve.protocol.grpc.grpc_predict_v2_pb2")
    pb2_grpc: Any = importlib.import_module("kserve.protocol.grpc.grpc_predict_v2_pb2_grpc")

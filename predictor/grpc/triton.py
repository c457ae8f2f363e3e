"""Triton's extensions over gRPC: model configuration, statistics and the repository's index.

KServe's protocol has the service and lacks these methods, so their messages are made here, with
Triton's field numbers. They have a pool of their own: Triton's client may share the process.
Source: github.com/triton-inference-server/common, ``protobuf/grpc_service.proto`` and
``model_config.proto``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from predictor.protocol.metadata import INFERENCE_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "inference"
METHODS = ("ModelConfig", "ModelStatistics", "RepositoryIndex")
# Field names, their types ("*" for repeated) and numbers.
MESSAGES = {
    "ModelConfigRequest": "name string 1, version string 2",
    "ModelConfigResponse": "config ModelConfig 1",
    "ModelConfig": "name string 1, platform string 2, max_batch_size int32 4, input *ModelInput 5, "
    "output *ModelOutput 6, backend string 17",
    "ModelInput": "name string 1, data_type DataType 2, dims *int64 4, optional bool 8",
    "ModelOutput": "name string 1, data_type DataType 2, dims *int64 3",
    "ModelStatisticsRequest": "name string 1, version string 2",
    "ModelStatisticsResponse": "model_stats *ModelStatistics 1",
    "ModelStatistics": "name string 1, version string 2, last_inference uint64 3, "
    "inference_count uint64 4, execution_count uint64 5, inference_stats InferStatistics 6, "
    "batch_stats *InferBatchStatistics 7",
    "InferStatistics": "success StatisticDuration 1, fail StatisticDuration 2, "
    "queue StatisticDuration 3, compute_input StatisticDuration 4, "
    "compute_infer StatisticDuration 5, compute_output StatisticDuration 6, "
    "cache_hit StatisticDuration 7, cache_miss StatisticDuration 8",
    "InferBatchStatistics": "batch_size uint64 1",
    "StatisticDuration": "count uint64 1, ns uint64 2",
    "RepositoryIndexRequest": "repository_name string 1, ready bool 2",
    "RepositoryIndexResponse": "models *ModelIndex 1",
    "ModelIndex": "name string 1, version string 2, state string 3, reason string 4",
    # Triton's, for KServe's messages of other numbers.
    "RepositoryModelLoadRequest": "repository_name string 1, model_name string 2",
}
ENUM = ("DataType", {"TYPE_INVALID": 0, "TYPE_INT64": 9, "TYPE_FP32": 11, "TYPE_STRING": 13})


@cache
def messages() -> Mapping[str, Any]:
    """The classes of the messages by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="warmstart/triton.proto", package=PACKAGE, syntax="proto3"
    )
    enum_name, values = ENUM
    enum = file.enum_type.add(name=enum_name)
    for name, number in values.items():
        enum.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in MESSAGES
    }


def model_named(request: Any) -> str:
    """The model of a request to load or unload: KServe's field 1, or Triton's field 2."""
    triton = messages()["RepositoryModelLoadRequest"].FromString(request.SerializeToString())
    return str(triton.model_name or request.model_name)


class TritonMethods(grpc.GenericRpcHandler):
    """Calls the methods of ``service`` that KServe's protocol lacks."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.removeprefix(f"/{INFERENCE_SERVICE}/")
        if name not in METHODS:
            return None
        request, response = (messages()[f"{name}{part}"] for part in ("Request", "Response"))
        return grpc.unary_unary_rpc_method_handler(
            getattr(self._service, name), request.FromString, response.SerializeToString
        )


def _add_field(message: Any, name: str, kind: str, number: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    repeated, kind = kind.startswith("*"), kind.removeprefix("*")
    field = message.field.add(name=name, number=int(number))
    field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
    if kind in MESSAGES or kind == ENUM[0]:
        field.type = kinds.TYPE_MESSAGE if kind in MESSAGES else kinds.TYPE_ENUM
        field.type_name = f".{PACKAGE}.{kind}"
    else:
        field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")

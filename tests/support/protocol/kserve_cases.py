"""The cases of KServe's own server tests, by the names that they have there.

Source: github.com/kserve/kserve, python/kserve/test/test_server.py and test_grpc_server.py, at
commit aaac4e294dae: their names and what they ask, none of their code.
"""

from __future__ import annotations

ONLY_FP16 = "no model here has FP16 tensors; such a request is refused, which is tested"
NO_DATES = "no model here answers with dates; JSON of any other kind is KServe's own affair"
NO_RAY = "there is no Ray in front of this server"
FORWARDING = "a predictor forwards to no other predictor"
ITS_INSIDES = "a test of how kserve.ModelServer starts its loop, not of what it answers"

APPLICABLE = {
    "TestModel.validate",
    "TestV1Endpoints.liveness_v1",
    "TestV1Endpoints.model_v1",
    "TestV1Endpoints.unknown_model_v1",
    "TestV1Endpoints.list_models_v1",
    "TestV1Endpoints.predict_v1",
    "TestV1Endpoints.unknown_path_v1",
    "TestV1Endpoints.metrics_v1",
    "TestV2Endpoints.list_models_v2",
    "TestV2Endpoints.infer_v2",
    "TestV2Endpoints.infer_parameters_v2",
    "TestV2Endpoints.fp16_input_not_binary_data",
    "TestV2Endpoints.requested_output",
    "TestV2Endpoints.all_output_as_binary_data",
    "TestV2Endpoints.binary_data_parameter_precedence",
    "TestTFHttpServerModelNotLoaded.model_not_ready_error",
    "TestTFHttpServerCloudEvent.predict_ce_structured",
    "TestTFHttpServerCloudEvent.predict_custom_ce_attributes",
    "TestTFHttpServerCloudEvent.predict_merge_structured_ce_attributes",
    "TestTFHttpServerCloudEvent.predict_merge_binary_ce_attributes",
    "TestTFHttpServerCloudEvent.predict_ce_binary_dict",
    "TestTFHttpServerCloudEvent.predict_ce_binary_bytes",
    "TestTFHttpServerCloudEvent.predict_ce_bytes_bad_format_exception",
    "TestTFHttpServerCloudEvent.predict_ce_bytes_bad_hex_format_exception",
    "TestTFHttpServerLoadAndUnLoad.load",
    "TestTFHttpServerLoadAndUnLoad.unload",
    "TestTFHttpServerLoadAndUnLoadFailure.load_fail",
    "TestTFHttpServerLoadAndUnLoadFailure.unload_fail",
    "TestTFHttpServerModelNotReady.model_not_ready_v1",
    "TestTFHttpServerModelNotReady.model_not_ready_v2",
    "TestTFHttpServerModelNotReady.predict",
    "TestTFHttpServerModelNotReady.infer",
    "TestTFHttpServerModelNotReady.explain",
    "TestWithUnhealthyModel.with_not_ready_model",
    "grpc.grpc_inputs",
    "grpc.grpc_raw_inputs",
    "grpc.grpc_raw_inputs_with_missing_input_data",
    "grpc.grpc_raw_inputs_with_contents_specified",
}

NOT_APPLICABLE = {
    "TestStreamPredict.predict_stream": "no task here streams its answer",
    "TestV1Endpoints.explain_v1": "no model here has an explainer: 501, which is tested",
    "TestV1Endpoints.datetime_output_v1": NO_DATES,
    "TestV2Endpoints.fp16_input_as_binary_data": ONLY_FP16,
    "TestV2Endpoints.fp16_output_as_binary_data": ONLY_FP16,
    "TestV2Endpoints.fp16_output_not_binary_data": ONLY_FP16,
    "TestV2Endpoints.datetime_output": NO_DATES,
    "TestRayServer.liveness_handler": NO_RAY,
    "TestRayServer.list_handler": NO_RAY,
    "TestRayServer.health_handler": NO_RAY,
    "TestRayServer.predict": NO_RAY,
    "TestRayServer.infer": NO_RAY,
    "TestRayServer.explain": NO_RAY,
    "TestTFHttpServerAvroCloudEvent.predict_ce_avro_binary": "no model here reads Avro",
    "TestMutiProcessServer.rest_server_multiprocess": "one process uses all CPUs: no --workers",
    "TestModelServerWithPredictorConfig.model_server_with_predictor_config": FORWARDING,
    "TestModelServerWithPredictorConfig.model_server_dataplane_with_predictor_config": FORWARDING,
    "TestModelServerWithPredictorConfig.model_server_backwards_compatibility": FORWARDING,
    "TestModelServerEventLoopWithDummy.start_passes_event_loop_to_rest_server": ITS_INSIDES,
    "TestModelServerEventLoopWithDummy.start_passes_event_loop_to_rest_multiprocess": ITS_INSIDES,
    "grpc.grpc_fp16_output": ONLY_FP16,
    "grpc.grpc_fp16_input": ONLY_FP16,
}

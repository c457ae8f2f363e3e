"""KServe's generated modules are imported without KServe."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_later_import_of_kserve_works_and_shares_the_classes() -> None:
    assert (
        run(
            "from predictor.grpc.protobuf import pb2, pb2_grpc\n"
            "import kserve, kserve.protocol.grpc.grpc_predict_v2_pb2 as theirs\n"
            "from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as their_grpc\n"
            "assert kserve.Model and kserve.ModelServer and kserve.protocol.grpc\n"
            "assert theirs.ModelInferRequest is pb2.ModelInferRequest\n"
            "assert their_grpc.GRPCInferenceServiceStub is pb2_grpc.GRPCInferenceServiceStub\n"
            "sent = kserve.InferRequest('m', []).to_grpc()\n"
            "assert isinstance(sent, pb2.ModelInferRequest)\n"
            "print('shared')"
        )
        == "shared"
    )


def test_the_modules_of_an_imported_kserve_are_reused() -> None:
    assert (
        run(
            "import kserve\n"
            "import kserve.protocol.grpc.grpc_predict_v2_pb2 as theirs\n"
            "from predictor.grpc.protobuf import pb2\n"
            "import sys\n"
            "assert pb2 is theirs and sys.modules['kserve'] is kserve and kserve.Model\n"
            "print('reused')"
        )
        == "reused"
    )


def test_a_missing_kserve_is_an_error_that_says_what_to_install() -> None:
    assert (
        run(
            "import importlib.util\n"
            "find = importlib.util.find_spec\n"
            "importlib.util.find_spec = lambda name: None if name == 'kserve' else find(name)\n"
            "try:\n"
            "    import predictor.grpc.protobuf\n"
            "except ModuleNotFoundError as error:\n"
            "    print(error)"
        )
        == "kserve is not installed: install warmstart[predictor]"
    )

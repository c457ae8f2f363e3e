"""OpenVINO's real plugin: what it says on this host, and its variant from recipe to answers.

On a CPU that is not Intel's the plugin offers no device; there the process pretends to have one
(tests/openvino.py), and OpenVINO then really runs, in FP32 where the CPU has no bfloat16.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from pipeline.preparation.progress import StepError
from pipeline.recipe.errors import RecipeError
from pipeline.recipe.recipe import BF16_OPENVINO, Bf16Gate, Bf16Openvino, Recipe
from predictor.errors import NoVariantError
from predictor.loading.load import load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.base import cpus
from storage_init.format.package import read_package
from storage_init.format.verify import verify
from storage_init.running import host, providers
from storage_init.running.providers import CPU, OPENVINO
from storage_init.store.layout import Store
from tests.support.models.engines import rows_of
from tests.support.models.openvino import apart, is_intel, pretend
from tests.support.models.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime_ep_openvino")
pytestmark = pytest.mark.integration

NAME: Final = BF16_OPENVINO
TEXTS = Texts(["the film was good", "a bad book", "great screen and the battery lasts two days"])
# Random weights answer nothing clearly.
RECIPE = Recipe(
    variants=("fp32", NAME),
    bf16_openvino=Bf16Openvino(gate=Bf16Gate(0.9, 0.3, 0.0)),
)
elsewhere = pytest.mark.skipif(is_intel(), reason="the plugin offers this host's CPU")


@pytest.fixture(scope="module")
def package(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apart(_prepare, classifier, tmp_path_factory.mktemp("openvino"))


def _prepare(classifier: Path, store: Path) -> Path:
    pretend()
    return prepare(classifier, "m", store, RECIPE)


def test_it_is_published_without_a_file_of_its_own(package: Path) -> None:
    found = verify(package)
    fp32, bf16 = found.variants
    assert (fp32.name, bf16.name) == ("fp32", NAME)
    assert fp32.graph == bf16.graph == "fp32/model.onnx"
    assert (bf16.precision, bf16.requires.provider) == ("bf16", OPENVINO)
    assert bf16.requires.cpu_any_of == host.BF16
    assert bf16.batch_sensitivity.largest_move < 0.01
    assert "onnxruntime-ep-openvino" in found.tools
    assert {path.name for path in package.iterdir() if path.is_dir()} == {"fp32"}
    assert '"precision"' not in msgspec.json.encode(fp32).decode()


def test_it_is_served_by_openvino_with_a_stream_a_lane(package: Path) -> None:
    served, config, rows = apart(_serve, package, NAME)
    assert served == [OPENVINO, CPU]
    assert config["CPU"]["INFERENCE_PRECISION_HINT"] == "bf16"
    assert (config["CPU"]["NUM_STREAMS"], config["CPU"]["INFERENCE_NUM_THREADS"]) == ("3", "6")
    full = rows_of(load(Settings(model_dir=package, variant="fp32")).engine, TEXTS)
    rounding = 0.1 if cpus.cpu_features().intersection(host.BF16) else 1e-4
    for answer in rows:
        np.testing.assert_allclose(answer, full, atol=rounding)


def _serve(package: Path, variant: str) -> tuple[list[str], Any, list[Any]]:
    pretend()
    engine = load(Settings(model_dir=package, variant=variant, lanes=3, threads=2)).engine
    with ThreadPoolExecutor(3) as lanes:
        rows = list(lanes.map(lambda _: rows_of(engine, TEXTS), range(12)))
    options = engine.session.get_provider_options()[OPENVINO]
    return engine.session.get_providers(), msgspec.json.decode(options["load_config"]), rows


def test_openvino_takes_every_node_of_the_fused_graph(package: Path) -> None:
    assert apart(_assigned, package / "fp32" / "model.onnx") == {OPENVINO}


def _assigned(graph: Path) -> set[str]:
    import onnxruntime as ort

    pretend()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers.configure(options, OPENVINO, precision=None, lanes=1, threads=1)
    session = ort.InferenceSession(str(graph), options)
    return {part.ep_name for part in session.get_provider_graph_assignment_info()}


def test_auto_takes_it_only_where_it_was_the_fastest(package: Path) -> None:
    package_, _ = read_package(package)
    fastest = min(package_.variants, key=lambda variant: variant.speed.batched_ms)
    assert apart(_chosen, package) == fastest.name


def _chosen(package: Path) -> str:
    pretend()
    return load(Settings(model_dir=package)).variant


@elsewhere
def test_without_a_device_it_is_passed_over_with_the_reason(package: Path) -> None:
    why = f"{OPENVINO} is installed but offers no CPU device here: it wants Intel's"
    assert apart(_load_as_if_fastest, package, installed=True) == ("fp32", [why])


def test_without_the_plugin_it_is_passed_over_with_the_reason(package: Path) -> None:
    why = f"{OPENVINO} is not installed: pip install 'warmstart[openvino]'"
    assert apart(_load_as_if_fastest, package, installed=False) == ("fp32", [why])


def _load_as_if_fastest(package: Path, *, installed: bool) -> tuple[str, list[str]]:
    """On a CPU with bfloat16 that is not Intel's, by a package where fp32 is slower."""
    from predictor.loading import prefetch

    if not installed:
        vars(providers)["_PLUGIN"] = "onnxruntime_ep_nowhere"
    features = cpus.cpu_features() | {"avx512_bf16"}
    cpus.cpu_features = lambda *_: features

    def slower(folder: Path) -> Any:
        found, version = read_package(folder)
        fp32, bf16 = found.variants
        speed = msgspec.structs.replace(fp32.speed, batched_ms=1e6)
        variants = [msgspec.structs.replace(fp32, speed=speed), bf16]
        return msgspec.structs.replace(found, variants=variants), version

    vars(prefetch)["read_package"] = slower
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(  # type: ignore[method-assign]
        getattr(record, "fields", {}).get("why", "")
    )
    logger = logging.getLogger("predictor.loading.load")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    return load(Settings(model_dir=package)).variant, said


@elsewhere
def test_wanted_by_name_it_is_refused_with_the_reason(package: Path) -> None:
    with pytest.raises(NoVariantError, match="bf16-openvino: "):
        load(Settings(model_dir=package, variant=NAME))
    with pytest.raises(NoVariantError, match=f"fp32: it is for {CPU}, not {OPENVINO}"):
        load(Settings(model_dir=package, provider=OPENVINO))


@elsewhere
@pytest.mark.parametrize("features", [set(), {"avx512_bf16"}])
def test_a_recipe_that_requires_it_is_refused_before_any_work(
    features: set[str], classifier: Path, tmp_path: Path
) -> None:
    message = apart(_refused, features, classifier, tmp_path)
    why = "offers no CPU device here" if features else "none of avx512_bf16, amx_bf16"
    assert message.startswith(f"{NAME} cannot be made here: ")
    assert why in message
    assert f"{NAME}: {{required: false}}" in message
    assert not list(tmp_path.glob("**/model.onnx"))


def _refused(features: set[str], classifier: Path, store: Path) -> str:
    have = cpus.cpu_features() | features
    cpus.cpu_features = lambda *_: have
    try:
        prepare(classifier, "m", store, RECIPE)
    except (RecipeError, StepError) as error:
        assert type(error) is RecipeError
        return str(error)
    return "it was made"


@elsewhere
def test_a_recipe_that_does_not_require_it_goes_on_and_says_so(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = msgspec.structs.replace(RECIPE, bf16_openvino=Bf16Openvino(required=False))
    prepare(classifier, "m", tmp_path, recipe)
    said = capsys.readouterr().err
    assert f"{NAME}: REJECTED, this CPU has none of avx512_bf16, amx_bf16" in said
    published, _ = read_package(Store(tmp_path).resolve("m"))
    assert [variant.name for variant in published.variants] == ["fp32"]

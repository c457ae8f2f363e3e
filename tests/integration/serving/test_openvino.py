"""OpenVINO's real plugin: its variant from recipe to answers, and hosts that cannot run it.

Every test says which CPU it runs on, by ``tests.support.machine.cpus``; none depends on the
host's.
"""

from __future__ import annotations

import io
import logging
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from pipeline.preparation.progress import StepError
from pipeline.recipe.limits import Bf16Gate
from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import BF16_OPENVINO, Bf16Openvino, Recipe
from predictor.errors import NoVariantError
from predictor.loading.load import load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.format import measurements
from storage_init.format.measurements import read
from storage_init.format.reading import read_package
from storage_init.format.verify import verify
from storage_init.running import host, providers
from storage_init.running.providers import CPU, OPENVINO
from storage_init.store.layout import Store
from tests.support.machine.cpus import AMD, INTEL, process_on
from tests.support.models.cache import digest, made_once
from tests.support.models.engines import rows_of
from tests.support.models.packages import speeds
from tests.support.models.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def intel() -> Iterator[ProcessPoolExecutor]:
    """A process on an Intel CPU with bfloat16, which the plugin offers."""
    with process_on(INTEL, bf16=True) as process:
        yield process


@pytest.fixture(scope="module")
def amd() -> Iterator[ProcessPoolExecutor]:
    """A process on another vendor's CPU with bfloat16, which the plugin does not offer."""
    with process_on(AMD, bf16=True) as process:
        yield process


@pytest.fixture(scope="module")
def old() -> Iterator[ProcessPoolExecutor]:
    """A process on an Intel CPU without bfloat16."""
    with process_on(INTEL, bf16=False) as process:
        yield process


@pytest.fixture(scope="module")
def package(classifier: Path, intel: ProcessPoolExecutor) -> Path:
    inputs = digest(classifier), RECIPE
    store = made_once(
        "openvino",
        inputs,
        lambda path: intel.submit(prepare, classifier, "m", path, RECIPE).result(),
    )
    return Store(store).resolve("m")


def test_the_variant_shares_the_files_of_fp32(package: Path) -> None:
    found = verify(package)
    bf16, fp32 = found.variants
    assert (fp32.name, bf16.name) == ("fp32", NAME)
    assert fp32.graph == bf16.graph == "fp32/model.onnx"
    assert (bf16.precision, bf16.requires.provider) == ("bf16", OPENVINO)
    assert bf16.requires.cpu_any_of == host.BF16
    assert bf16.batch_sensitivity.largest_move < 0.01
    assert "onnxruntime-ep-openvino" in found.tools
    assert {path.name for path in package.iterdir() if path.is_dir()} == {"fp32"}
    assert '"precision"' not in msgspec.json.encode(fp32).decode()


def test_openvino_serves_it_with_one_stream_for_each_lane(
    package: Path, intel: ProcessPoolExecutor
) -> None:
    served, config, rows = intel.submit(_serve, package).result()
    assert served == [OPENVINO, CPU]
    assert config["CPU"]["INFERENCE_PRECISION_HINT"] == "bf16"
    assert (config["CPU"]["NUM_STREAMS"], config["CPU"]["INFERENCE_NUM_THREADS"]) == ("3", "6")
    full = rows_of(load(Settings(model_dir=package, variant="fp32")).engine, TEXTS)
    # OpenVINO decides by the real CPU whether it rounds to bfloat16.
    for answer in rows:
        np.testing.assert_allclose(answer, full, atol=0.1)


def _serve(package: Path) -> tuple[list[str], Any, list[Any]]:
    engine = load(Settings(model_dir=package, variant=NAME, lanes=3, threads=2)).engine
    with ThreadPoolExecutor(3) as lanes:
        rows = list(lanes.map(lambda _: rows_of(engine, TEXTS), range(12)))
    options = engine.session.get_provider_options()[OPENVINO]
    return engine.session.get_providers(), msgspec.json.decode(options["load_config"]), rows


def test_openvino_takes_every_node_of_the_fused_graph(
    package: Path, intel: ProcessPoolExecutor
) -> None:
    graph = package / "fp32" / "model.onnx"
    assert intel.submit(_assigned, graph).result() == {OPENVINO}


def _assigned(graph: Path) -> set[str]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers.configure(options, OPENVINO, precision=None, lanes=1, threads=1)
    session = ort.InferenceSession(str(graph), options)
    return {part.ep_name for part in session.get_provider_graph_assignment_info()}


def test_auto_takes_the_variant_that_was_the_fastest(
    package: Path, intel: ProcessPoolExecutor
) -> None:
    for fastest in ("fp32", NAME):
        assert intel.submit(_load_with_fastest, package, fastest).result() == Loaded(fastest, [])


def test_it_is_skipped_without_a_device(package: Path, amd: ProcessPoolExecutor) -> None:
    why = f"{OPENVINO} is installed but offers no CPU device here: it wants Intel's"
    assert amd.submit(_load_with_fastest, package, NAME).result() == Loaded("fp32", [why])


def test_it_is_skipped_without_the_plugin(package: Path) -> None:
    why = f"{OPENVINO} is not installed: pip install 'warmstart[openvino]'"
    with process_on(INTEL, bf16=True) as process:
        process.submit(_uninstall).result()
        assert process.submit(_load_with_fastest, package, NAME).result() == Loaded("fp32", [why])


def _uninstall() -> None:
    vars(providers)["_PLUGIN"] = "onnxruntime_ep_nowhere"


@dataclass(frozen=True)
class Loaded:
    """The variant that was loaded, and why others were passed over."""

    variant: str
    why: list[str]


def _load_with_fastest(package: Path, fastest: str) -> Loaded:
    """Load a package in which another variant than the given one is slow."""
    found, _ = read_package(package)
    measured = {each.name: 1.0 if each.name == fastest else 1e6 for each in found.variants}
    vars(measurements)["read"] = lambda *_: speeds(**measured)
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(  # type: ignore[method-assign]
        getattr(record, "fields", {}).get("why", "")
    )
    logger = logging.getLogger("predictor.loading.load")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        return Loaded(load(Settings(model_dir=package)).variant, said)
    finally:
        logger.removeHandler(handler)
        vars(measurements)["read"] = read


def test_asked_for_by_name_it_is_refused_with_the_reason(
    package: Path, amd: ProcessPoolExecutor
) -> None:
    with pytest.raises(NoVariantError, match="bf16-openvino: "):
        amd.submit(_load_as, package, variant=NAME).result()
    with pytest.raises(NoVariantError, match=f"fp32: it is for {CPU}, not {OPENVINO}"):
        amd.submit(_load_as, package, provider=OPENVINO).result()


def _load_as(package: Path, **settings: Any) -> None:
    load(Settings(model_dir=package, **settings))


@pytest.mark.parametrize(
    ("machine", "why"),
    [("amd", "offers no CPU device here"), ("old", "none of avx512_bf16, amx_bf16")],
)
def test_a_recipe_that_requires_it_is_refused_before_any_work(
    machine: str, why: str, classifier: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    process: ProcessPoolExecutor = request.getfixturevalue(machine)
    message = process.submit(_refused, classifier, tmp_path).result()
    assert message.startswith(f"{NAME} cannot be made here: ")
    assert why in message
    assert f"{NAME}: {{required: false}}" in message
    assert not list(tmp_path.glob("**/model.onnx"))


def _refused(classifier: Path, store: Path) -> str:
    try:
        prepare(classifier, "m", store, RECIPE)
    except (RecipeError, StepError) as error:
        assert type(error) is RecipeError
        return str(error)
    return "it was made"


def test_a_recipe_that_does_not_require_it_goes_on_and_says_so(
    classifier: Path, tmp_path: Path, old: ProcessPoolExecutor
) -> None:
    recipe = msgspec.structs.replace(RECIPE, bf16_openvino=Bf16Openvino(required=False))
    said = old.submit(_said, classifier, tmp_path, recipe).result()
    assert f"{NAME}: REJECTED, this CPU has none of avx512_bf16, amx_bf16" in said
    published, _ = read_package(Store(tmp_path).resolve("m"))
    assert [variant.name for variant in published.variants] == ["fp32"]


def _said(classifier: Path, store: Path, recipe: Recipe) -> str:
    with redirect_stderr(io.StringIO()) as said:
        prepare(classifier, "m", store, recipe)
    return said.getvalue()

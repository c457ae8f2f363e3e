"""The images for arm64 under emulation, beside this machine: which variant, and what it answers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.harness.process import predictor
from tests.support.clients.v2 import answered, text_request
from tests.support.machine.containers import ARM64, arm64_image, in_image, predictor_in_image
from tests.support.models.models import LABELS
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = [pytest.mark.containers, pytest.mark.e2e, pytest.mark.timeout(900)]

TEXTS = ["good", *sentences(31, longest=40)]
# fp32 differs by the order of its sums; int8 also by activations that round to a neighbour.
CLOSE = {"fp32": 1e-5, "int8": 5e-3}


@dataclass(frozen=True)
class Served:
    """What a server says of its model, and what it answers to ``TEXTS``."""

    model: dict[str, Any]
    outputs: dict[str, Any]


def served(running: Predictor) -> Served:
    (model,) = running.http.get("/status").json()["models"]
    return Served(model, answered(running.infer(text_request(TEXTS))))


@contextmanager
def here_and_there(image: str, model: Path, folder: Path, *flags: str) -> Iterator[list[Served]]:
    """Serve a model on this machine and on arm64, one after the other."""
    with predictor(model, folder / "here.log", *flags) as running:
        here = served(running)
    with predictor_in_image(image, ARM64, model, folder / "there.log", *flags) as running:
        yield [here, served(running)]


@pytest.mark.parametrize("name", ["predictor", "storage-init"])
def test_an_image_for_arm64_runs_its_program_on_arm64(name: str) -> None:
    image = arm64_image(name)
    machine = in_image(image, "uname", "-m", platform=ARM64)
    assert machine.stdout.strip() == "aarch64", machine.stderr
    program = {"predictor": "predictor", "storage-init": "storage_init"}[name]
    helped = in_image(image, "python", "-m", program, "--help", platform=ARM64)
    assert helped.returncode == 0, helped.stderr
    compilers = in_image(image, "sh", "-c", "command -v gcc cc make pip", platform=ARM64)
    assert (compilers.returncode != 0, compilers.stdout) == (True, "")


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_package_prepared_here_answers_almost_the_same_on_arm64(
    variant: str, prepared_classifier: Path, tmp_path: Path
) -> None:
    image, model = arm64_image("predictor"), prepared_classifier
    # Without the referee, which would let fp32 answer where int8 is in doubt.
    flags = (f"--variant={variant}", "--referee=off")
    with here_and_there(image, model, tmp_path, *flags) as (here, there):
        assert there.model["selftest"]["largest_distance"] <= there.model["selftest"]["tolerance"]
    assert there.model["version"] == here.model["version"]
    # Arm cannot use weights that are packed for this CPU; it serves the portable graph.
    assert (here.model["packed"], there.model["packed"]) == (variant == "int8", False)
    assert there.outputs["label"].tolist() == here.outputs["label"].tolist()
    assert set(here.outputs["label"].tolist()) <= set(LABELS)
    apart = np.abs(there.outputs["probabilities"] - here.outputs["probabilities"]).max()
    assert apart <= CLOSE[variant]


def test_an_arm64_node_takes_the_variant_that_was_measured_as_fastest(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    image = arm64_image("predictor")
    with here_and_there(image, prepared_classifier, tmp_path) as (here, there):
        assert there.model["variant"] == here.model["variant"]
        assert there.model["other_variants"] == here.model["other_variants"]

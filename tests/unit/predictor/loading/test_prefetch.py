"""Prefetch: what is read and verified before ONNX Runtime is imported."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest

from predictor.loading import prefetch as module
from predictor.loading.prefetch import UNIMPORTED, Phases, prefetch
from predictor.loading.variants import Choice, choose
from predictor.settings import Settings
from storage_init.base.errors import VerificationError
from storage_init.format.measurements import NOTHING
from storage_init.format.verify import check_files
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package, Variant

SECONDS = 10


def fp32_of(package: Package) -> Variant:
    (variant,) = (v for v in package.variants if v.name == "fp32")
    return variant


def test_a_plain_folder_has_no_prepared_model(tmp_path: Path) -> None:
    assert prefetch(Settings(model_dir=tmp_path)).prepared is None


@pytest.mark.parametrize("verify", ["served", "size", "all"])
def test_the_files_to_be_served_are_checked_behind_a_link(
    prepared_classifier: Path, verify: Literal["served", "size", "all"]
) -> None:
    current = prepared_classifier.parents[1] / "current"
    prefetched = prefetch(Settings(model_dir=current, variant="fp32", verify=verify))
    assert prefetched.folder == prepared_classifier
    prepared = prefetched.prepared
    assert prepared is not None
    assert prepared.version == prepared_classifier.name
    served = prepared.package.served_files(fp32_of(prepared.package))
    wanted = prepared.package.files if verify == "all" else served
    assert set(prepared.checking) == {entry.path for entry in wanted}
    assert "fp32/model.onnx.data" in prepared.checking
    assert prepared.problems.result(SECONDS) == []


def test_prefetch_returns_while_files_are_checked(
    prepared_classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = threading.Event()

    def after_return(*args: Any, **kwargs: Any) -> list[str]:
        assert returned.wait(SECONDS)
        return check_files(*args, **kwargs)

    monkeypatch.setattr(module, "check_files", after_return)
    prepared = prefetch(Settings(model_dir=prepared_classifier, variant="fp32")).prepared
    assert prepared is not None
    assert not prepared.problems.done()
    returned.set()
    assert prepared.problems.result(SECONDS) == []


@pytest.mark.parametrize("wanted", ["nobody-has-this", "fp32"])
def test_every_problem_is_raised_also_of_files_that_were_not_foreseen(
    prepared_classifier: Path, tmp_path: Path, wanted: str
) -> None:
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    flip_byte(folder / "fp32" / "model.onnx.data")
    flip_byte(folder / "tokenizer.json")
    prefetched = prefetch(Settings(model_dir=folder, variant=wanted))
    assert prefetched.prepared is not None
    assert ("fp32/model.onnx.data" in prefetched.prepared.checking) == (wanted == "fp32")
    with pytest.raises(VerificationError) as refused:
        prefetched.verify(prefetched.prepared, fp32_chosen(prefetched.prepared.package))
    assert sorted(problem.split()[0] for problem in refused.value.problems) == [
        "fp32/model.onnx.data",
        "tokenizer.json",
    ]


def test_a_phase_that_fails_is_not_recorded() -> None:
    phases = Phases()
    with pytest.raises(ZeroDivisionError):
        phases.time("broken", lambda: 1 / 0)
    assert phases.time("whole", lambda: 7) == 7
    assert list(phases.seconds) == ["whole"]


def fp32_chosen(package: Package) -> Choice:
    return choose(package, Settings(variant="fp32"), UNIMPORTED, NOTHING)


def test_prefetch_imports_neither_numpy_nor_onnxruntime() -> None:
    code = (
        "import sys, predictor.loading.prefetch; "
        "print({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""What is known of a folder, and checked, before ONNX Runtime is there."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

import pytest

from predictor.loading import prefetch as module
from predictor.loading.prefetch import Phases, prefetch
from predictor.settings import Settings
from storage_init.base.errors import VerificationError
from storage_init.format.verify import check_files
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.loading.prefetch import Prepared
    from storage_init.format.package import Package, Variant

SECONDS = 10


@pytest.fixture
def folder(prepared_classifier: Path, tmp_path: Path) -> Path:
    return writable_copy(prepared_classifier, tmp_path / "package")


def prepared_of(settings: Settings) -> Prepared:
    prepared = prefetch(settings).prepared
    assert prepared is not None
    return prepared


def fp32_of(package: Package) -> Variant:
    (variant,) = (v for v in package.variants if v.name == "fp32")
    return variant


def test_a_folder_that_nobody_prepared_is_left_to_the_fallback(tmp_path: Path) -> None:
    assert prefetch(Settings(model_dir=tmp_path)).prepared is None


def test_a_link_is_followed_once(prepared_classifier: Path) -> None:
    current = prepared_classifier.parents[1] / "current"
    begun = prefetch(Settings(model_dir=current))
    assert begun.folder == prepared_classifier
    assert begun.prepared is not None
    assert begun.prepared.version == prepared_classifier.name


@pytest.mark.parametrize("verify", ["served", "size"])
def test_the_files_that_will_be_served_are_checked(
    prepared_classifier: Path, verify: Literal["served", "size"]
) -> None:
    prepared = prepared_of(Settings(model_dir=prepared_classifier, variant="fp32", verify=verify))
    wanted = prepared.package.served_files(fp32_of(prepared.package))
    assert set(prepared.checking) == {entry.path for entry in wanted}
    assert "fp32/model.onnx.data" in prepared.checking
    assert prepared.problems.result(SECONDS) == []


def test_all_files_are_checked_where_that_was_asked_for(prepared_classifier: Path) -> None:
    prepared = prepared_of(Settings(model_dir=prepared_classifier, verify="all"))
    assert set(prepared.checking) == {entry.path for entry in prepared.package.files}


def test_the_caller_goes_on_while_files_are_checked(
    prepared_classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = threading.Event()

    def after_return(*args: Any, **kwargs: Any) -> list[str]:
        assert returned.wait(SECONDS)
        return check_files(*args, **kwargs)

    monkeypatch.setattr(module, "check_files", after_return)
    prepared = prepared_of(Settings(model_dir=prepared_classifier, variant="fp32"))
    assert not prepared.problems.done()
    returned.set()
    assert prepared.problems.result(SECONDS) == []


def test_what_is_wrong_is_told_when_it_is_waited_for(folder: Path) -> None:
    flip_byte(folder / "fp32" / "model.onnx.data")
    flip_byte(folder / "tokenizer.json")
    begun = prefetch(Settings(model_dir=folder, variant="fp32"))
    assert begun.prepared is not None
    with pytest.raises(VerificationError) as refused:
        begun.verified(begun.prepared, fp32_of(begun.prepared.package))
    assert sorted(problem.split()[0] for problem in refused.value.problems) == [
        "fp32/model.onnx.data",
        "tokenizer.json",
    ]


@pytest.mark.parametrize("wanted", ["nobody-has-this", "fp32"])
def test_files_that_could_not_be_foreseen_are_checked_before_they_are_served(
    folder: Path, wanted: str
) -> None:
    flip_byte(folder / "fp32" / "model.onnx.data")
    begun = prefetch(Settings(model_dir=folder, variant=wanted))
    assert begun.prepared is not None
    assert ("fp32/model.onnx.data" in begun.prepared.checking) == (wanted == "fp32")
    with pytest.raises(VerificationError, match=r"fp32/model\.onnx\.data has sha256"):
        begun.verified(begun.prepared, fp32_of(begun.prepared.package))


def test_a_phase_that_fails_is_not_recorded() -> None:
    phases = Phases()
    with pytest.raises(ZeroDivisionError):
        phases.time("broken", lambda: 1 / 0)
    assert phases.time("whole", lambda: 7) == 7
    assert list(phases.seconds) == ["whole"]


def test_it_needs_neither_numpy_nor_a_runtime() -> None:
    code = (
        "import sys, predictor.loading.prefetch; "
        "print({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""What must never become ready: corrupt files and models that do not answer as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.harness.process import run_to_end
from storage_init.base.files import list_files
from storage_init.format.package import UNCOVERED
from storage_init.format.selftest import SelfTest
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_one_flipped_byte_in_any_file_is_refused_and_the_file_named(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    files = sorted(list_files(prepared_classifier).difference(UNCOVERED))
    assert len(files) >= 8, "both variants' graphs and weights, tokenizer, self-test, description"
    for index, name in enumerate(files):
        folder = writable_copy(prepared_classifier, tmp_path / str(index))
        flip_byte(folder / name, position=(folder / name).stat().st_size // 2)
        done = run_to_end(folder, "--verify=all")
        assert done.returncode == 1, f"{name}: {done.stderr}"
        last = done.stderr.splitlines()[-1]
        assert "did not become ready" in last
        assert name in last


def test_a_selftest_beyond_tolerance_is_refused_with_the_figures(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    good = SelfTest.load(folder / "selftest.npz")
    SelfTest(good.texts, good.reference + np.float32(0.5)).save(folder / "selftest.npz")
    describe_again(folder)
    done = run_to_end(folder, "--variant=fp32")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "self-test failed: variant fp32 is 0.5 off the reference" in last
    assert "tolerance 0.001" in last


def test_a_variant_that_this_host_lacks_is_refused_by_name(prepared_classifier: Path) -> None:
    done = run_to_end(prepared_classifier, "--variant=bf16")
    assert done.returncode == 1
    assert "no variant bf16 (it has int8, fp32)" in done.stderr


def test_an_empty_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = run_to_end(tmp_path)
    assert done.returncode == 1
    assert "holds neither a prepared model" in done.stderr


def test_flags_that_do_not_exist_are_refused(prepared_classifier: Path) -> None:
    done = run_to_end(prepared_classifier, "--no_such_flag=1")
    assert done.returncode == 2
    assert "unrecognized arguments: --no_such_flag=1" in done.stderr.splitlines()[-1]


def test_several_workers_are_refused_with_the_reason(prepared_classifier: Path) -> None:
    done = run_to_end(prepared_classifier, "--workers=2")
    assert done.returncode == 2
    assert "--lanes" in done.stderr

"""Loads: what is verified, measured and reported."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest

from predictor.errors import NoVariantError, SelfTestError, UnsupportedModelError
from predictor.loading.load import LoadedModel, load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.base.errors import PackageError, ProviderError, VerificationError, WarmstartError
from storage_init.format import codec
from storage_init.format.package import (
    DIGEST_FILE,
    MEASUREMENTS_FILE,
    PACKAGE_FILE,
    REPORT_FILE,
    SUMS_FILE,
    BatchSensitivity,
    Requires,
)
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from storage_init.running.providers import CPU, CUDA
from tests.support.models.engines import rows_of
from tests.support.models.packages import (
    describe_again,
    flip_byte,
    speeds,
    writable_copy,
    write_description,
)

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = Texts(["the film was good", "a bad book"])


@pytest.fixture
def folder(prepared_classifier: Path, tmp_path: Path) -> Path:
    """A writable copy with fp32 and a second variant "spare", the same on every host."""
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    package, _ = read_package(folder)
    int8, fp32 = package.variants
    shutil.rmtree(folder / int8.name)
    shutil.copytree(folder / "fp32", folder / "spare")
    spare = msgspec.structs.replace(
        fp32,
        name="spare",
        graph="spare/model.onnx",
        batch_sensitivity=BatchSensitivity(largest_move=0.02, flipped_labels=0.1),
    )
    write_description(folder, package, speeds(fp32=1.0, spare=2.0), variants=[fp32, spare])
    return folder


@pytest.fixture
def plain(classifier: Path, prepared_classifier: Path, tmp_path: Path) -> Path:
    """A plain ONNX export of the classifier."""
    folder = tmp_path / "plain"
    shutil.copytree(prepared_classifier / "fp32", folder)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(classifier / name, folder / name)
    return folder


def test_a_prepared_model_is_loaded_with_every_phase_measured(prepared_classifier: Path) -> None:
    current = prepared_classifier.parents[1] / "current"
    assert current.is_symlink()
    settings = Settings(model_dir=current, variant="fp32", threads=2, warmup_inferences=1)
    loaded = load(settings)
    phases = loaded.phases.seconds
    names = ("read", "verify", "session", "tokenizer", "selftest", "warmup", "total")
    assert set(phases) == set(names)
    assert all(0 < seconds <= phases["total"] for seconds in phases.values())
    assert loaded.version == prepared_classifier.name
    assert loaded.variant == "fp32"
    assert loaded.selftest_distance is not None
    assert len(loaded.warmup.seconds) == 1
    assert loaded.engine.session.get_session_options().intra_op_num_threads == 2
    assert rows_of(loaded.engine, TEXTS).shape == (2, 3)


@pytest.mark.parametrize(
    ("settings", "variant", "batches"),
    [
        ({}, "fp32", True),
        ({"variant": "spare"}, "spare", False),
        ({"variant": "spare", "max_batch_move": 0.02, "max_batch_flips": 0.1}, "spare", True),
    ],
)
def test_the_settings_choose_the_variant_and_whether_it_batches(
    folder: Path, settings: dict[str, Any], variant: str, batches: bool
) -> None:
    loaded = load(Settings(model_dir=folder, **settings))
    assert (loaded.variant, loaded.engine.batches) == (variant, batches)


@pytest.mark.parametrize("path", ["fp32/model.onnx", "fp32/model.onnx.data", "tokenizer.json"])
def test_a_corrupt_file_is_named_whatever_else_it_breaks(folder: Path, path: str) -> None:
    flip_byte(folder / path)
    with pytest.raises(VerificationError) as refused:
        load(Settings(model_dir=folder))
    (problem,) = refused.value.problems
    assert problem.startswith(f"{path} has sha256 ")


def test_a_file_cut_short_and_a_missing_one_are_both_named(folder: Path) -> None:
    with (folder / "fp32" / "model.onnx.data").open("r+b") as weights:
        weights.truncate(100)
    (folder / "selftest.npz").unlink()
    with pytest.raises(VerificationError) as refused:
        load(Settings(model_dir=folder, verify="size"))
    cut, missing = refused.value.problems
    assert cut.startswith("fp32/model.onnx.data has 100 bytes, not ")
    assert missing == "selftest.npz is missing"


def test_an_edited_description_is_refused(folder: Path) -> None:
    path = folder / PACKAGE_FILE
    path.write_bytes(path.read_bytes().replace(b'"negative"', b'"positivo"', 1))
    with pytest.raises(VerificationError, match=r"package\.json does not have the digest"):
        load(Settings(model_dir=folder))


def test_a_package_without_its_description_is_no_plain_folder(folder: Path) -> None:
    (folder / PACKAGE_FILE).unlink()
    with pytest.raises(PackageError, match=r"package\.json cannot be read"):
        load(Settings(model_dir=folder))


def test_only_served_files_are_verified_unless_all_are_wanted(folder: Path) -> None:
    flip_byte(folder / "spare" / "model.onnx.data")
    assert load(Settings(model_dir=folder, verify="served", variant="fp32")).variant == "fp32"
    for settings in (
        Settings(model_dir=folder, verify="served", variant="spare"),
        Settings(model_dir=folder, verify="all", variant="fp32"),
    ):
        with pytest.raises(VerificationError, match=r"spare/model\.onnx\.data has sha256"):
            load(settings)


def test_verifying_sizes_does_not_hash(folder: Path) -> None:
    # The size and the JSON stay the same, so only a digest tells the difference.
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"\n", b" "))
    assert load(Settings(model_dir=folder, verify="size")).version
    with pytest.raises(VerificationError, match=r"tokenizer\.json has sha256"):
        load(Settings(model_dir=folder, verify="served"))


def test_a_package_that_fails_its_self_test_is_refused(folder: Path) -> None:
    selftest = SelfTest.load(folder / "selftest.npz")
    SelfTest(selftest.texts, selftest.reference[::-1].copy()).save(folder / "selftest.npz")
    describe_again(folder)
    with pytest.raises(SelfTestError, match="variant fp32 is"):
        load(Settings(model_dir=folder))


def test_a_plain_folder_is_served_with_a_warning_and_the_same_answers(
    plain: Path, loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="predictor.loading.load"):
        served = load(Settings(model_dir=plain))
    assert f"{plain} is not a prepared model: serving model.onnx as it is" in caplog.text
    assert (served.version, served.variant, served.package) == ("unprepared", "unprepared", None)
    assert served.selftest_distance is None
    assert "verify" not in served.phases.seconds
    np.testing.assert_allclose(
        rows_of(served.engine, TEXTS), rows_of(loaded.engine, TEXTS), atol=1e-4
    )


def test_a_plain_graph_with_inputs_that_no_tokenizer_makes_is_refused(plain: Path) -> None:
    graph = onnx.parser.parse_model(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        model (int64[N, L] input_ids, int64[N, L] attention_mask, int64[N, L] position_ids)
            => (float[N, L] logits) {
            masked = Mul (input_ids, attention_mask)
            placed = Add (masked, position_ids)
            logits = Cast <to = 1> (placed)
        }
        """
    )
    onnx.save(graph, plain / "model.onnx")
    with pytest.raises(WarmstartError, match="position_ids"):
        load(Settings(model_dir=plain))


def test_a_missing_provider_is_named_with_the_package_to_install(
    prepared_classifier: Path, plain: Path
) -> None:
    message = f"ONNX Runtime here has no {CUDA}, only .*{CPU}.*onnxruntime-gpu"
    with pytest.raises(NoVariantError, match=f"fp32: {message}"):
        load(Settings(model_dir=prepared_classifier, provider=CUDA))
    with pytest.raises(ProviderError, match=message):
        load(Settings(model_dir=plain, provider=CUDA))


def test_a_variant_that_is_passed_over_is_logged_with_the_reason(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package, _ = read_package(folder)
    fp32, spare = package.variants
    spare = msgspec.structs.replace(spare, requires=Requires(cpu_any_of=["nobody-has-this"]))
    write_description(folder, package, speeds(fp32=2.0, spare=0.1), variants=[fp32, spare])
    with caplog.at_level(logging.INFO, logger="predictor.loading.load"):
        assert load(Settings(model_dir=folder)).variant == "fp32"
    (record,) = (r for r in caplog.records if r.getMessage() == "variant passed over")
    fields = record.__dict__["fields"]
    assert (fields["variant"], fields["why"]) == ("spare", "this CPU has none of nobody-has-this")


def test_an_empty_folder_is_refused_with_the_command_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="pipeline run"):
        load(Settings(model_dir=tmp_path))


def test_a_package_of_format_2_is_served_by_its_own_speeds(folder: Path) -> None:
    document = json.loads((folder / PACKAGE_FILE).read_bytes()) | {"format_version": 2}
    for variant, ms in zip(document["variants"], (2.0, 1.0), strict=True):
        variant["speed"] = {"cpu": "a CPU", "alone_ms": ms, "batched_ms": 9.0, "batch": 16}
    for name in (SUMS_FILE, MEASUREMENTS_FILE, REPORT_FILE):
        (folder / name).unlink()
    content = json.dumps(document).encode()
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_bytes(codec.first_sum(content))
    loaded = load(Settings(model_dir=folder, verify="all"))
    assert loaded.variant == "spare"
    assert loaded.digest == hashlib.sha256(content).hexdigest()
    assert loaded.version == loaded.digest[:16]

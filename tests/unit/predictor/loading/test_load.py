"""From a folder to a model that may serve: what is checked, measured and reported."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import pytest

from predictor.errors import NoVariantError, SelfTestError, UnsupportedModelError
from predictor.loading.load import LoadedModel, load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.base.errors import PackageError, ProviderError, VerificationError, WarmstartError
from storage_init.format import package as packages
from storage_init.format.package import (
    DIGEST_FILE,
    PACKAGE_FILE,
    BatchSensitivity,
    Requires,
    read_package,
)
from storage_init.format.selftest import SelfTest
from storage_init.running.providers import CPU, CUDA
from storage_init.store.publish import describe_files
from tests.support.models.engines import rows_of
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = Texts(["the film was good", "a bad book"])


@pytest.fixture
def folder(prepared_classifier: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged, with fp32 and a second variant "spare" whatever the host."""
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    package, _ = read_package(folder)
    for variant in package.variants[1:]:
        shutil.rmtree(folder / variant.name)
    fp32 = package.variants[0]
    shutil.copytree(folder / "fp32", folder / "spare")
    speed = msgspec.structs.replace(
        fp32.speed, alone_ms=fp32.speed.alone_ms * 2, batched_ms=fp32.speed.batched_ms * 2
    )
    spare = msgspec.structs.replace(
        fp32,
        name="spare",
        graph="spare/model.onnx",
        speed=speed,
        batch_sensitivity=BatchSensitivity(largest_move=0.02, flipped_labels=0.1),
    )
    for name in (PACKAGE_FILE, DIGEST_FILE):
        (folder / name).unlink()
    package = msgspec.structs.replace(package, variants=[fp32, spare], files=describe_files(folder))
    content = packages.encode(package)
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_bytes(packages.digest_line(content))
    return folder


def plain_folder(classifier: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(classifier / name, folder / name)
    return folder


def test_a_prepared_model_is_loaded_with_every_phase_measured(
    loaded: LoadedModel, prepared_classifier: Path
) -> None:
    phases = loaded.phases.seconds
    assert set(phases) == {
        *("read", "verify", "session", "tokenizer", "selftest", "warmup", "total"),
    }
    assert all(0 < seconds <= phases["total"] for seconds in phases.values())
    assert loaded.version == prepared_classifier.name
    assert loaded.variant == "fp32"
    assert loaded.selftest_distance is not None
    assert len(loaded.warmup.seconds) == Settings().warmup_inferences
    assert rows_of(loaded.engine, TEXTS).shape == (2, 3)


def test_settings_reach_the_engine(prepared_classifier: Path) -> None:
    settings = Settings(
        model_dir=prepared_classifier,
        variant="fp32",
        threads=2,
        warmup_inferences=1,
    )
    loaded = load(settings)
    assert loaded.engine.session.get_session_options().intra_op_num_threads == 2
    assert len(loaded.warmup.seconds) == 1


def test_the_current_link_is_followed_to_a_version(prepared_classifier: Path) -> None:
    current = prepared_classifier.parents[1] / "current"
    assert current.is_symlink()
    assert load(Settings(model_dir=current)).version == prepared_classifier.name


def test_the_fastest_variant_is_served_unless_one_is_named(folder: Path) -> None:
    assert load(Settings(model_dir=folder)).variant == "fp32"
    assert load(Settings(model_dir=folder, variant="spare")).variant == "spare"


@pytest.mark.parametrize(
    ("variant", "limits", "batched"),
    [
        ("fp32", {}, True),
        ("spare", {}, False),
        ("spare", {"max_batch_move": 0.02}, False),
        ("spare", {"max_batch_flips": 0.1}, False),
        ("spare", {"max_batch_move": 0.02, "max_batch_flips": 0.1}, True),
    ],
)
def test_a_variant_that_company_moves_beyond_a_limit_is_not_batched(
    folder: Path, variant: str, limits: dict[str, float], batched: bool
) -> None:
    settings = replace(Settings(model_dir=folder, variant=variant), **limits)  # type: ignore[arg-type]
    assert load(settings).engine.batches == batched


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


def test_a_package_without_its_description_is_not_taken_for_a_plain_folder(folder: Path) -> None:
    (folder / PACKAGE_FILE).unlink()
    with pytest.raises(PackageError, match=r"package\.json cannot be read"):
        load(Settings(model_dir=folder))


def test_verifying_what_is_served_ignores_damage_elsewhere(folder: Path) -> None:
    flip_byte(folder / "spare" / "model.onnx.data")
    assert load(Settings(model_dir=folder, verify="served", variant="fp32")).variant == "fp32"
    for settings in (
        Settings(model_dir=folder, verify="served", variant="spare"),
        Settings(model_dir=folder, verify="all", variant="fp32"),
    ):
        with pytest.raises(VerificationError, match=r"spare/model\.onnx\.data has sha256"):
            load(settings)


def test_verifying_sizes_hashes_nothing(folder: Path) -> None:
    # As long as before, and the same JSON: only a digest can tell.
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"\n", b" "))
    assert load(Settings(model_dir=folder, verify="size")).version
    with pytest.raises(VerificationError, match=r"tokenizer\.json has sha256"):
        load(Settings(model_dir=folder, verify="served"))


def test_a_package_that_answers_otherwise_than_it_says_is_refused(folder: Path) -> None:
    selftest = SelfTest.load(folder / "selftest.npz")
    SelfTest(selftest.texts, selftest.reference[::-1].copy()).save(folder / "selftest.npz")
    describe_again(folder)
    with pytest.raises(SelfTestError, match="variant fp32 is"):
        load(Settings(model_dir=folder))


def test_a_plain_folder_is_served_with_a_warning_and_the_same_answers(
    classifier: Path,
    prepared_classifier: Path,
    loaded: LoadedModel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = plain_folder(classifier, tmp_path / "plain")
    for path in (prepared_classifier / "fp32").iterdir():
        shutil.copyfile(path, folder / path.name)
    with caplog.at_level(logging.WARNING, logger="predictor.loading.load"):
        plain = load(Settings(model_dir=folder))
    assert f"{folder} is not a prepared model: serving model.onnx as it is" in caplog.text
    assert (plain.version, plain.variant, plain.package) == ("unprepared", "unprepared", None)
    assert plain.selftest_distance is None
    assert "verify" not in plain.phases.seconds
    np.testing.assert_allclose(
        rows_of(plain.engine, TEXTS), rows_of(loaded.engine, TEXTS), atol=1e-4
    )


def test_a_plain_graph_that_wants_what_a_tokenizer_does_not_make_never_gets_ready(
    classifier: Path, tmp_path: Path
) -> None:
    folder = plain_folder(classifier, tmp_path / "plain")
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
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(WarmstartError, match="position_ids"):
        load(Settings(model_dir=folder))


def test_a_provider_that_is_not_here_is_named_with_what_to_install(
    classifier: Path, prepared_classifier: Path, tmp_path: Path
) -> None:
    said = f"ONNX Runtime here has no {CUDA}, only .*{CPU}.*onnxruntime-gpu"
    with pytest.raises(NoVariantError, match=f"fp32: {said}"):
        load(Settings(model_dir=prepared_classifier, provider=CUDA))
    plain = plain_folder(classifier, tmp_path / "plain")
    for path in (prepared_classifier / "fp32").iterdir():
        shutil.copyfile(path, plain / path.name)
    with pytest.raises(ProviderError, match=said):
        load(Settings(model_dir=plain, provider=CUDA))


def test_what_is_passed_over_is_logged_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package, _ = read_package(folder)
    fp32, spare = package.variants
    speed = msgspec.structs.replace(spare.speed, alone_ms=1e-3, batched_ms=1e-3)
    requires = Requires(cpu_any_of=["nobody-has-this"])
    spare = msgspec.structs.replace(spare, speed=speed, requires=requires)
    package = msgspec.structs.replace(package, variants=[fp32, spare])
    monkeypatch.setattr("predictor.loading.prefetch.read_package", lambda _: (package, "0" * 16))
    with caplog.at_level(logging.INFO, logger="predictor.loading.load"):
        assert load(Settings(model_dir=folder)).variant == "fp32"
    (record,) = (r for r in caplog.records if r.getMessage() == "variant passed over")
    fields = record.__dict__["fields"]
    assert (fields["variant"], fields["why"]) == ("spare", "this CPU has none of nobody-has-this")


def test_an_empty_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="pipeline run"):
        load(Settings(model_dir=tmp_path))

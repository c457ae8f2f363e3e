"""The self-test: its file format without pickles, and the distance of outputs."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from storage_init.base.errors import PackageError
from storage_init.format.selftest import Array, SelfTest, distances
from storage_init.format.tasks import TextClassification, TextEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSIFIER = TextClassification(labels=["a", "b"], activation="softmax")
EMBEDDER = TextEmbedding(dimension=2, pooling="mean", normalize=False)
SELFTEST = SelfTest(["good", "schlecht, 悪い 😀", ""], np.arange(6, dtype=np.float32).reshape(3, 2))


def matrix(*rows: list[float]) -> Array:
    return np.array(rows, dtype=np.float32)


def npz(**arrays: object) -> bytes:
    target = io.BytesIO()
    np.savez(target, **arrays)  # type: ignore[arg-type]
    return target.getvalue()


def npy(array: object) -> bytes:
    target = io.BytesIO()
    np.save(target, np.asarray(array), allow_pickle=True)
    return target.getvalue()


def not_inflating() -> bytes:
    """An npz with a deflated member whose first block is of no known type."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("texts.npy", npy(["a"] * 100))
    content = bytearray(target.getvalue())
    content[30 + len("texts.npy")] |= 0b110
    return bytes(content)


@pytest.mark.parametrize(
    ("rows", "pairs"), [(None, None), ([1, 0, 2], ["a", "b c", ""])], ids=["texts", "tokens"]
)
def test_a_self_test_survives_a_round_trip(
    tmp_path: Path, rows: list[int] | None, pairs: list[str] | None
) -> None:
    kept = SelfTest(SELFTEST.texts, SELFTEST.reference, rows, pairs)
    kept.save(tmp_path / "selftest.npz")
    loaded = SelfTest.load(tmp_path / "selftest.npz")
    assert (loaded.texts, loaded.rows, loaded.pairs) == (kept.texts, rows, pairs)
    assert loaded.reference.dtype == np.float32
    np.testing.assert_array_equal(loaded.reference, kept.reference)


def test_equal_self_tests_are_equal_bytes_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SELFTEST.save(tmp_path / "one.npz")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    SELFTEST.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize(
    "pack", [pickle.dumps, npy, lambda trap: npz(texts=trap, reference=matrix([1, 2]))]
)
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, pack: Callable[[Any], bytes]) -> None:
    path = tmp_path / "selftest.npz"
    path.write_bytes(pack(np.array([Trap(str(tmp_path / "sprung"))], dtype=object)))
    with pytest.raises(PackageError, match=f"{path} is not a self-test"):
        SelfTest.load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"not a zip file", id="text"),
        pytest.param(b"PK\x05\x06" + bytes(18), id="zip without members"),
        pytest.param(npz(texts=["a"]), id="no reference"),
        pytest.param(npz(reference=matrix([1, 2])), id="no texts"),
        pytest.param(npz(texts=["a"], reference=["x"]), id="reference of strings"),
        pytest.param(npz(texts="a", reference=matrix([1, 2])), id="a single text"),
        pytest.param(npy([1.0, 2.0]), id="npy instead of npz"),
        pytest.param(not_inflating(), id="broken deflate stream"),
    ],
)
def test_a_malformed_self_test_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "selftest.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PackageError, match=f"{path} is not a self-test: "):
        SelfTest.load(path)


def loads(path: Path, content: bytes) -> bool:
    """Return whether a self-test loads; only a PackageError may say that it does not."""
    path.write_bytes(content)
    try:
        SelfTest.load(path)
    except PackageError:
        return False
    return True


def test_a_damaged_self_test_loads_or_is_a_package_error(tmp_path: Path) -> None:
    path = tmp_path / "selftest.npz"
    SELFTEST.save(path)
    content = path.read_bytes()
    for at, byte in enumerate(content):
        loads(path, content[:at] + bytes([byte ^ 0xFF]) + content[at + 1 :])
    assert not any(loads(path, content[:length]) for length in range(len(content)))


def test_the_distance_of_logits_is_the_largest_difference_in_each_row() -> None:
    far = distances(CLASSIFIER, matrix([1, 2], [3, 4]), matrix([1, 2], [3.5, 2]))
    np.testing.assert_allclose(far, [0, 2])


def test_the_distance_of_embeddings_is_one_minus_their_cosine() -> None:
    got = matrix([1, 0], [1, 0], [1, 0], [2, 2], [0, 0])
    far = distances(EMBEDDER, got, matrix([3, 0], [0, 1], [-1, 0], [1, 1], [1, 0]))
    np.testing.assert_allclose(far, [0, 1, 2, 0, 1], atol=1e-12)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("task", [CLASSIFIER, EMBEDDER])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_infinitely_far(
    task: TextClassification | TextEmbedding, value: float
) -> None:
    want = matrix([1, 1], [1, 1])
    np.testing.assert_array_equal(distances(task, matrix([1, value], [1, 1]), want)[0], np.inf)
    assert distances(task, want, want)[1] < 1e-12


def test_outputs_of_another_shape_are_refused_with_both_shapes() -> None:
    with pytest.raises(PackageError, match=r"answers shape \(1, 3\), the reference has \(1, 2\)"):
        distances(CLASSIFIER, matrix([1, 2, 3]), matrix([1, 2]))


def test_a_row_is_traced_to_its_text() -> None:
    kept = SelfTest(["a", "b", "c"], np.zeros((5, 2), dtype=np.float32), rows=[2, 0, 3])
    assert [kept.text_of(row) for row in range(5)] == [0, 0, 2, 2, 2]
    assert [SELFTEST.text_of(row) for row in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("texts", "reference", "rows", "pairs"),
    [
        ([], matrix(), None, None),
        (["a"], matrix([1], [2]), None, None),
        (["a", "b"], np.zeros(2, dtype=np.float32), None, None),
        (["a", "b"], matrix([1], [2], [3]), [3], None),
        (["a", "b"], matrix([1], [2], [3]), [1, 1], None),
        (["a", "b"], matrix([1], [2], [3]), [4, -1], None),
        (["a", "b"], matrix([1], [2], [3]), [1, 2], ["a"]),
        (["a", "b"], matrix([1], [2], [3]), [1, 2], []),
    ],
)
def test_texts_reference_rows_and_contexts_must_match(
    texts: list[str], reference: Array, rows: list[int] | None, pairs: list[str] | None
) -> None:
    with pytest.raises(PackageError, match=f"has {len(texts)} texts but a reference of shape"):
        SelfTest(texts, reference, rows, pairs)

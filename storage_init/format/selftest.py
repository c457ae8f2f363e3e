"""The self-test: a few texts and the original model's outputs, compared before a model serves.

The pipeline and the predictor share the file format (npz without pickle) and the measure of
distance, so that the predictor checks what the pipeline measured.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.base.errors import PackageError
from storage_init.format.tasks import Task, TextEmbedding

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Array = np.ndarray[Any, np.dtype[np.float32]]


# The errors that numpy and zipfile raise for files of another format.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class SelfTest:
    """``texts`` and the original torch model's ``reference`` outputs, FP32 [R, C] or [R, D].

    The reference has raw logits for classifiers and pooled, normalised vectors for embeddings, one
    row per text. For a task about tokens, ``rows`` [N] says how many rows each text has: one for
    every token, or one for every mask to fill, without padding. If the texts are questions,
    ``pairs`` are their contexts.
    """

    texts: list[str]
    reference: Array
    rows: list[int] | None = None
    pairs: list[str] | None = None

    def __post_init__(self) -> None:
        rows = [1] * len(self.texts) if self.rows is None else self.rows
        lengths = {len(self.texts), len(rows)} | (
            set() if self.pairs is None else {len(self.pairs)}
        )
        whole = self.reference.ndim == 2 and sum(rows) == len(self.reference) > 0
        if not whole or lengths != {len(rows)} or min(rows) < 0:
            raise PackageError(
                f"the self-test has {len(self.texts)} texts but a reference of shape "
                f"{self.reference.shape}"
            )

    def text_of(self, row: int) -> int:
        """Return the index of the text that a row of the reference belongs to."""
        if self.rows is None:
            return row
        return int(np.searchsorted(np.cumsum(self.rows), row, side="right"))

    def save(self, path: Path) -> None:
        """Write an npz; equal self-tests give equal bytes."""
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in self._arrays().items():
                # A fixed date: np.savez writes the current time, which would change the version.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {"texts": np.array(self.texts), "reference": self.reference}
        if self.rows is not None:
            arrays["rows"] = np.array(self.rows, dtype=np.int64)
        if self.pairs is not None:
            arrays["pairs"] = np.array(self.pairs)
        return arrays

    @classmethod
    def load(cls, path: Path) -> SelfTest:
        """Read an npz.

        Raises:
            PackageError: it is not a self-test.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                texts = [str(text) for text in arrays["texts"]]
                reference = np.asarray(arrays["reference"], dtype=np.float32)
                rows = [int(rows) for rows in arrays["rows"]] if "rows" in arrays else None
                pairs = [str(pair) for pair in arrays["pairs"]] if "pairs" in arrays else None
                return cls(texts, reference, rows, pairs)
        except _UNREADABLE as error:
            raise PackageError(f"{path} is not a self-test: {error}") from error


def distances(task: Task, got: Array, want: Array) -> NDArray[np.float64]:
    """Return the distance [N] of each row of ``got`` [N, D] from ``want`` [N, D]; 0 is equal.

    The distance is 1 - cosine for embeddings and the largest difference of a logit for all other
    tasks. An output that is not finite has an infinite distance.

    Raises:
        PackageError: the shapes differ.
    """
    if got.shape != want.shape:
        raise PackageError(f"the model answers shape {got.shape}, the reference has {want.shape}")
    left, right = got.astype(np.float64), want.astype(np.float64)
    if isinstance(task, TextEmbedding):
        with np.errstate(invalid="ignore"):
            norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            far = 1.0 - (left * right).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    else:
        far = np.abs(left - right).max(axis=1)
    return np.where(np.isfinite(far), far, np.inf)

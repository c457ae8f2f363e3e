"""How a prepared model is run: texts to token ids, token ids to a session's inputs.

Here because the pipeline must measure a variant exactly as the predictor will serve it. Needs
tokenizers and onnxruntime, which the format itself does not.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnxruntime as ort
import tokenizers

from storage_init.base.errors import PackageError, ProviderError
from storage_init.base.proc_links import leads_by_name
from storage_init.format.package import FillMask, QuestionAnswering, TokenClassification
from storage_init.running import providers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from storage_init.format.package import Precision, Task

TOKENIZER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# What an extractive reader's graph is called to give, [N, L] each.
SPAN_OUTPUTS = ("start_logits", "end_logits")

Feeds = dict[str, "NDArray[np.int64]"]
# For each text of a batch, the tokens whose rows matter.
Places = list["NDArray[np.int64]"]


class TextTooLongError(ValueError):
    """A text has more tokens than the model takes and truncation was not wanted."""


class QuestionTooLongError(ValueError):
    """The first text of a pair, which may not be cut, has more tokens than the model takes."""


Cut = Literal["longest_first", "only_second"]


def cut_of(task: Task) -> Cut:
    """What of a pair a task's tokenizer may shorten: a question never."""
    return "only_second" if isinstance(task, QuestionAnswering) else "longest_first"


class Tokenizer:
    """A fast tokenizer that pads nothing and truncates to ``max_length`` tokens.

    ``cut``: what of a pair is shortened. Safe to use from several threads: encoding changes no
    state.
    """

    def __init__(
        self,
        path: Path,
        max_length: int,
        pad_token_id: int,
        cut: Cut = "longest_first",
    ) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            raise PackageError(f"{path} is not a fast tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length, strategy=cut)
        self.max_length = max_length
        self.pad_token_id = pad_token_id

    @property
    def model(self) -> tokenizers.Tokenizer:
        """The library's own object; not to be changed."""
        return self._tokenizer

    @property
    def vocabulary_size(self) -> int:
        """Token ids run from 0 to one less than this."""
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, truncate: bool = True
    ) -> list[tokenizers.Encoding]:
        """Token ids of each text, or of each text and its pair.

        Raises:
            TextTooLongError: ``truncate`` is False and a text is longer than ``max_length``.
        """
        encodings = self.encode_batch(
            list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        )
        if not truncate:
            self.refuse_cut(encodings)
        return encodings

    def encode_batch(self, batch: Sequence[str | tuple[str, str]]) -> list[tokenizers.Encoding]:
        """Token ids of texts and of pairs of texts, mixed as they come, cut to ``max_length``."""
        # "fast": without the offsets, which no graph takes.
        return self._encoded(self._tokenizer.encode_batch_fast, batch)

    def encode_aligned(self, batch: Sequence[str | tuple[str, str]]) -> list[tokenizers.Encoding]:
        """As ``encode_batch``, with the place of each token in its text."""
        return self._encoded(self._tokenizer.encode_batch, batch)

    def _encoded(
        self,
        encode: Callable[[Sequence[str | tuple[str, str]]], list[tokenizers.Encoding]],
        batch: Sequence[str | tuple[str, str]],
    ) -> list[tokenizers.Encoding]:
        try:
            return encode(batch)
        except Exception as error:  # the library has no class of its own
            if "Truncation error" not in str(error):
                raise
            raise QuestionTooLongError(
                f"a question leaves no room for its context in {self.max_length} tokens"
            ) from error

    def refuse_cut(self, encodings: Sequence[tokenizers.Encoding]) -> None:
        """Raise TextTooLongError if one of these had to be cut."""
        for index, encoding in enumerate(encodings):
            if encoding.overflowing:
                raise TextTooLongError(f"text {index} has more than {self.max_length} tokens")

    def feeds(self, encodings: Sequence[tokenizers.Encoding], names: Sequence[str]) -> Feeds:
        """Inputs for a session, INT64 [N, L], padded on the right to the longest text."""
        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        feeds: Feeds = {}
        for name in names:
            fill = self.pad_token_id if name == "input_ids" else 0
            array = np.full(shape, fill, dtype=np.int64)
            for row, encoding in zip(array, encodings, strict=True):
                row[: len(encoding)] = _column(encoding, name)
            feeds[name] = array
        return feeds


def _column(encoding: tokenizers.Encoding, name: str) -> list[int]:
    if name not in TOKENIZER_INPUTS:
        raise PackageError(f"the graph wants an input {name}, which a tokenizer does not make")
    columns = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    column: list[int] = columns[TOKENIZER_INPUTS.index(name)]
    return column


def open_session(
    graph: Path,
    *,
    threads: int = 1,
    lanes: int = 1,
    provider: str = providers.CPU,
    precision: Precision | None = None,
    optimized: bool = True,
) -> ort.InferenceSession:
    """A session over a graph whose weights ONNX Runtime maps from the file beside it.

    Any number of threads may call its ``run`` at once.

    Args:
        graph: the ONNX file.
        threads: that share one inference.
        lanes: calls of ``run`` side by side, where a provider must know.
        provider: ONNX Runtime's execution provider.
        precision: what a provider that chooses computes in; None for that of the graph.
        optimized: the graph was optimised when it was prepared; doing it again costs a start-up
            most of its time.

    Raises:
        PackageError: ONNX Runtime cannot load the graph.
        ProviderError: the provider cannot be had here, or did not start.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if optimized
        else ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    # Shapes vary from batch to batch: a plan made for one is of no use to the next.
    options.enable_mem_pattern = False
    # A thread that spins while it waits is charged to the pod's CPU quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen = providers.configure(
        options, provider, precision=precision, lanes=lanes, threads=threads
    )
    source: str | bytes = str(graph)
    try:
        if not leads_by_name(graph):
            source, weights = graph.read_bytes(), _weights_beside(graph)
            names, contents = list(weights), list(weights.values())
            sizes = [len(content) for content in contents]
            options.add_external_initializers_from_files_in_memory(names, contents, sizes)
        session = ort.InferenceSession(source, options, providers=chosen)
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise PackageError(f"ONNX Runtime cannot load {graph}: {error}") from error
    # Where a provider's own libraries are missing, ONNX Runtime goes on with the CPU.
    if provider not in session.get_providers():
        raise ProviderError(
            f"{provider} did not start: are its driver, its libraries and a device there?"
        )
    return session


def _weights_beside(graph: Path) -> dict[str, mmap]:
    """Contents of a graph's other files, for one that ONNX Runtime cannot open by its name.

    It copies them to its heap; they must stay mapped until the session is there.
    """
    found = {}
    for path in graph.parent.iterdir():
        if path != graph and path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                found[path.name] = mmap(file.fileno(), 0, access=ACCESS_READ)
    return found


def input_names(session: ort.InferenceSession) -> list[str]:
    """The graph's inputs, in its own order."""
    return [tensor.name for tensor in session.get_inputs()]


def run_answer(session: ort.InferenceSession, feeds: Feeds) -> NDArray[Any]:
    """The graph's first output, or [N, L, 2] of one that scores where a span starts and ends."""
    outputs = [output.name for output in session.get_outputs()]
    if not set(SPAN_OUTPUTS).issubset(outputs):
        only: NDArray[Any] = session.run(outputs[:1], feeds)[0]
        return only
    return np.stack(session.run(SPAN_OUTPUTS, feeds), axis=-1)


def run_rows(session: ort.InferenceSession, feeds: Feeds, places: Places | None) -> NDArray[Any]:
    """The answer's rows for a batch: [N, C] of the texts, or [R, C] of the tokens at ``places``."""
    output = run_answer(session, feeds)
    if places is None:
        return output
    return np.concatenate([rows[here] for rows, here in zip(output, places, strict=True)])


def places_of(task: Task, tokenizer: Tokenizer, batch: Sequence[Sequence[int]]) -> Places | None:
    """The tokens whose rows a task's answer is made of, for the ids of each text; None for a row a
    text."""
    if isinstance(task, FillMask):
        mask = tokenizer.model.token_to_id(task.mask_token)
        return [np.flatnonzero(np.asarray(ids) == mask) for ids in batch]
    if isinstance(task, TokenClassification | QuestionAnswering):
        return [np.arange(len(ids)) for ids in batch]
    return None

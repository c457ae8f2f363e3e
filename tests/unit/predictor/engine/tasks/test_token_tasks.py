"""Tasks on tokens, over the tiny prepared models and over other kinds of tokenizers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.engine import windows
from predictor.engine.tasks.question_answering import find_spans
from predictor.engine.tasks.registry import task_for
from predictor.engine.tasks.token_classification import without_overlaps
from predictor.engine.tasks.words import remove_spaces
from predictor.errors import SelfTestError
from predictor.loading.load import load
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts, TokenRows, Tokens, values_of
from predictor.settings import Settings
from storage_init.base.errors import PackageError
from storage_init.format.package import SELFTEST_FILE
from storage_init.format.selftest import SelfTest
from storage_init.format.tasks import FillMask, TokenClassification
from storage_init.running.tokenizer import Tokenizer
from tests.support.models.engines import rows_of, tokens_of
from tests.support.models.exports import export_onnx
from tests.support.models.models import TAGS
from tests.support.models.originals import original
from tests.support.models.packages import describe_again, writable_copy
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.engine.engine import Engine

PREPARED = ["prepared_tagger", "prepared_reader", "prepared_masked"]


@pytest.fixture(scope="module")
def tagger_engine(prepared_tagger: Path) -> Engine:
    return load(Settings(model_dir=prepared_tagger, variant="fp32")).engine


@pytest.mark.parametrize("prepared", PREPARED)
def test_a_self_test_on_tokens_names_the_text_that_differs(
    prepared: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = writable_copy(request.getfixturevalue(prepared), tmp_path / "copy")
    settings = Settings(model_dir=folder, variant="fp32")
    assert load(settings).selftest_distance is not None
    kept = SelfTest.load(folder / SELFTEST_FILE)
    rows = kept.rows or []
    assert len(kept.reference) == sum(rows)
    moved = kept.reference.copy()
    moved[sum(rows[:3]), -1] += 0.5
    shorter = [rows[0] - 1, *rows[1:]]
    for changed, error, message in (
        (replace(kept, reference=moved), SelfTestError, r"0\.5 off the reference on text 4 of 8"),
        (replace(kept, reference=moved[1:], rows=shorter), PackageError, "model answers shape"),
    ):
        (folder / SELFTEST_FILE).unlink()
        changed.save(folder / SELFTEST_FILE)
        describe_again(folder)
        with pytest.raises(error, match=message):
            load(settings)


def test_rows_hold_one_value_per_token_without_padding(tagger_engine: Engine) -> None:
    texts = sentences(6)
    together = rows_of(tagger_engine, Texts(texts))
    tokens = tokens_of(tagger_engine, Texts(texts))
    assert together.dtype == object
    assert [row.values.shape for row in together] == [(len(each), len(TAGS)) for each in tokens]
    for row, text in zip(together, texts, strict=True):
        (alone,) = rows_of(tagger_engine, Texts([text]))
        np.testing.assert_allclose(row.values, alone.values, atol=1e-4)
    assert values_of(together).shape == (sum(map(len, tokens)), len(TAGS))


def test_tasks_on_whole_texts_tokenise_without_offsets(
    classifier_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def encode(self: Tokenizer, batch: list[str]) -> list[Any]:
        asked.append(len(batch))
        return Tokenizer.encode_batch(self, batch)

    monkeypatch.setattr(Tokenizer, "encode_aligned", encode)
    classifier_engine.tokenize([Texts(["good"])])
    assert asked == []


def test_only_the_rows_that_the_task_needs_are_kept(tagger_engine: Engine) -> None:
    ids = np.array([2, 9, 8, 3])
    (whole,) = tagger_engine.run([Tokens(ids)])
    (some,) = tagger_engine.run([Tokens(ids, row_indices=np.array([3, 1]))])
    np.testing.assert_allclose(some.values, whole.values[[3, 1]], atol=1e-6)


def test_of_overlapping_entities_the_longer_one_stays() -> None:
    def entity(start: int, end: int, score: float) -> dict[str, Any]:
        return {"start": start, "end": end, "score": score}

    short, long = entity(3, 5, 0.9), entity(2, 5, 0.1)
    apart, sure, unsure = entity(5, 7, 0.2), entity(9, 12, 0.8), entity(9, 12, 0.3)
    assert without_overlaps([short, unsure, apart, long, sure]) == [long, apart, sure]
    assert without_overlaps([]) == []


def test_the_likeliest_spans_within_the_length_are_found() -> None:
    chance = np.random.default_rng(2)
    starts, ends = chance.random(30), chance.random(30)
    for longest, count in ((1, 5), (7, 40), (100, 10_000)):
        every = [
            (first, last, starts[first] * ends[last])
            for first in range(30)
            for last in range(first, min(first + longest, 30))
        ]
        wanted = sorted(every, key=lambda span: -span[2])[:count]
        assert find_spans(starts, ends, longest, count) == wanted


def test_a_tokenizer_without_the_mask_is_refused(tagger_engine: Engine) -> None:
    with pytest.raises(PackageError, match="the tokenizer has no token <nothing> to fill"):
        task_for(FillMask(mask_token="<nothing>"), tagger_engine.tokenizer)


def test_decoded_text_is_cleaned_as_transformers_does() -> None:
    from transformers import PreTrainedTokenizerBase

    tokenizer: Any = PreTrainedTokenizerBase()
    text = "it 's not l ' ete , isn't it ? they 've said : do n't ! i 'm , we 're . a . b 'll"
    assert remove_spaces(text) == tokenizer.clean_up_tokenization(text)


@pytest.fixture(scope="module", params=["byte-level BPE", "Unigram"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger whose tokenizer does not mark the pieces that continue a word."""
    import torch
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if request.param == "Unigram":
        library = Library(models.Unigram())
        library.pre_tokenizer = pre_tokenizers.Metaspace()
        library.decoder = decoders.Metaspace()
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        library = Library(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel()
        library.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    plain = [text for text in sentences(40, seed=9) if "東" not in text]
    library.train_from_iterator(plain, trainer)
    library.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    folder = tmp_path_factory.mktemp("other")
    torch.manual_seed(1)
    BertForTokenClassification(
        BertConfig(
            vocab_size=library.get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            initializer_range=0.5,
            id2label=dict(enumerate(TAGS)),
            label2id={tag: index for index, tag in enumerate(TAGS)},
        )
    ).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=library,
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=128,
    ).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max", "none"])
def test_entities_agree_with_transformers_for_other_tokenizers(other: Path, strategy: str) -> None:
    import torch

    reference = original("token-classification", other, aggregation_strategy=strategy)
    tokenizer = Tokenizer(other / "tokenizer.json", 128, 1)
    texts = sentences(50, longest=14, seed=6)
    rows = np.empty(len(texts), dtype=np.object_)
    for index, encoding in enumerate(tokenizer.encode_aligned(texts)):
        (window,) = windows.split(encoding, index, 128, stride=None, paired=False)
        with torch.inference_mode():
            logits = reference.model(torch.tensor(window.ids[None])).logits[0].numpy()
        rows[index] = TokenRows(Tokens(window.ids, window=window), logits)
    task = task_for(TokenClassification(labels=TAGS), tokenizer)
    asked = Parameters.parse({"aggregation_strategy": strategy})
    got = task.predictions(task.postprocess(Texts(texts), rows, asked))
    for ours, wanted in zip(got, reference(texts), strict=True):
        assert [{**e, "score": 0} for e in ours] == [{**e, "score": 0} for e in wanted]
        np.testing.assert_allclose(
            [e["score"] for e in ours], [float(e["score"]) for e in wanted], atol=1e-4
        )


@pytest.mark.parametrize("source", ["tagger", "reader", "masked"])
def test_a_plain_export_answers_as_the_prepared_model_does(
    source: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The engine runs graphs as optimum exports them, with spans as two outputs."""
    exported = export_onnx(request.getfixturevalue(source), tmp_path / "plain")
    plain = load(Settings(model_dir=exported)).engine
    prepared = load(
        Settings(model_dir=request.getfixturevalue(f"prepared_{source}"), variant="fp32")
    ).engine
    pairs = ["a good book"] if source == "reader" else None
    asked = plain.task.preprocess(Texts(["the [MASK] film"], pairs), Parameters())
    np.testing.assert_allclose(
        values_of(rows_of(plain, asked)), values_of(rows_of(prepared, asked)), atol=1e-4
    )

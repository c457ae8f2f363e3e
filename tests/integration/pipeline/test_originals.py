"""Models as today's libraries save them: published with the answers of their authors' library."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.preparation.progress import StepError
from pipeline.recipe.recipe import Bench, Recipe
from predictor.loading.load import load
from predictor.protocol.types import Texts
from predictor.settings import Settings
from storage_init.base.errors import WarmstartError
from storage_init.format.reading import read_package
from tests.architectures import models
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.texts import TEXTS
from tests.support.models.engines import rows_of
from tests.support.models.originals import original_vectors
from tests.support.models.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::Warning")]

NAMED = {architecture.name: architecture for architecture in ARCHITECTURES}
RECIPE = Recipe(variants=("fp32",), bench=Bench(tokens=(8,), rounds=1))
ROPE = {"rope_type": "default", "rope_theta": 20.0}


def write(path: Path, **keys: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    stated = json.loads(path.read_text()) if path.exists() else {}
    kept = {key: value for key, value in (stated | keys).items() if value is not None}
    path.write_text(json.dumps(kept))


def saved_again(folder: Path) -> None:
    """Save an embedder as today's sentence-transformers lays it out."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    shutil.rmtree(folder)
    model.save(str(folder))


def cased_and_lowered(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    write(folder / "tokenizer_config.json", do_lower_case=False)
    write(folder / "sentence_bert_config.json", do_lower_case=True, max_seq_length=40)


def other_rotation(folder: Path) -> None:
    both = {"full_attention": ROPE, "sliding_attention": ROPE}
    write(folder / "config.json", rope_parameters=both)


def with_prompts(folder: Path) -> None:
    stated = {"prompts": {"query": "the long "}, "default_prompt_name": "query"}
    write(folder / "config_sentence_transformers.json", **stated)


def without_positions(folder: Path) -> None:
    """As older libraries wrote configurations: transformers' defaults hold, for weights, too."""
    write(folder / "config.json", max_position_embeddings=None, position_embedding_type=None)
    write(folder / "tokenizer_config.json", model_max_length=None)
    write(folder / "sentence_bert_config.json", max_seq_length=None)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("BERT", saved_again),
        ("BERT", cased_and_lowered),
        ("BERT", with_prompts),
        ("ModernBERT", other_rotation),
        ("EmbeddingGemma", saved_again),
        ("Qwen3", saved_again),
        ("NomicBERT", without_positions),
        ("YOSO", saved_again),
        # Its longest text is longer than BERT's positions would be.
        ("ESM", saved_again),
    ],
)
def test_an_embedder_is_published_with_the_vectors_of_its_authors_library(
    name: str, change: Callable[[Path], None], tmp_path: Path
) -> None:
    source = models.make(NAMED[name], "embedder", tmp_path / "source")
    change(source)
    package = prepare(source, "m", tmp_path / "store", RECIPE)
    texts = [text for text in TEXTS if text.strip()]
    wanted = original_vectors(source, texts, batch_size=1)
    task: Any = read_package(package)[0].task
    prompt = task.prompts[task.default_prompt] if change is with_prompts else ""
    engine = load(Settings(model_dir=package)).engine
    prompted = [prompt + text for text in texts]
    found = np.concatenate([rows_of(engine, Texts([text])) for text in prompted])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    # All texts share an inference, so that most of them are padded.
    np.testing.assert_allclose(rows_of(engine, Texts(prompted)), wanted, atol=1e-4)


def left_padding(folder: Path) -> None:
    write(folder / "tokenizer_config.json", padding_side="left")


def prompts_left_out(folder: Path) -> None:
    with_prompts(folder)
    write(folder / "1_Pooling" / "config.json", include_prompt=False)


def residual(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "x.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "3_Dense").mkdir()
    write(folder / "3_Dense" / "config.json", in_features=32, out_features=32, use_residual=True)


def half_of_the_values(folder: Path) -> None:
    write(folder / "config_sentence_transformers.json", truncate_dim=16)


def fewer_tokens_for_documents(folder: Path) -> None:
    write(folder / "sentence_bert_config.json", document_length=8)


def own_code(folder: Path) -> None:
    write(folder / "config.json", auto_map={"AutoModel": "modeling.Own"})


def setfit(folder: Path) -> None:
    write(folder / "config_setfit.json", labels=["a", "b"])


def another_layer(folder: Path) -> None:
    write(folder / "config.json", num_hidden_layers=3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (left_padding, r"pads on the left \(padding_side\), where it changes the model's answers"),
        (prompts_left_out, "leaves the prompts' tokens out"),
        (residual, "use_residual True, which is not supported"),
        (half_of_the_values, "truncate_dim 16, which is not supported"),
        (fewer_tokens_for_documents, "document_length 8, which is not supported"),
        (own_code, "states auto_map"),
        (setfit, "is a SetFit model"),
        (without_positions, r"the weights do not fit .*config\.json: embeddings\.position_embedd"),
        (
            another_layer,
            r"has no encoder\.layer\.2\..* and 13 more, which .*/config\.json asks for",
        ),
    ],
)
def test_an_embedder_whose_answers_would_be_others_is_refused_in_a_sentence(
    change: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    source = models.make(NAMED["BERT"], "embedder", tmp_path / "source")
    change(source)
    with pytest.raises(WarmstartError, match=reason) as refused:
        prepare(source, "m", tmp_path / "store", RECIPE)
    assert isinstance(refused.value, StepError)
    assert "\n" not in str(refused.value)

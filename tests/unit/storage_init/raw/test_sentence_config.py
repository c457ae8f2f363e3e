"""The modules, pooling and prompts that sentence-transformers folders state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from storage_init.base.errors import SourceError
from storage_init.format.tasks import TextEmbedding
from storage_init.raw.sentence_config import Dense, dense_layers, ranking
from storage_init.raw.sentence_config import embedding as read

if TYPE_CHECKING:
    from pathlib import Path

Content = dict[str, object]

MEAN: Content = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}
DEFAULT_PROMPT: Content = {"prompts": {"query": "q: "}, "default_prompt_name": "query"}
PROMPTS: Content = {"query": "query: ", "passage": "passage: ", "document": None}


def modules(
    *kinds: str, paths: tuple[str, ...] = ("", "1_Pooling", "2_Normalize")
) -> list[Content]:
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]


def model(folder: Path, **files: object) -> Path:
    """Write a model folder; ``__`` in a keyword is a slash, and ``.json`` is added."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(content))
    return folder


def pooled(folder: Path, pooling: Content, **files: object) -> Path:
    """An embedder with this pooling."""
    described = {"modules": modules("Transformer", "Pooling"), "1_Pooling__config": pooling}
    return model(folder, **described, **files)


def prompted(folder: Path, settings: Content, *, include_prompt: bool = True) -> Path:
    """A mean embedder with prompts."""
    pooling = MEAN | {"include_prompt": include_prompt}
    return pooled(folder, pooling, config_sentence_transformers=settings)


def embedding(folder: Path) -> TextEmbedding:
    return read(folder, 384)


def refusal(folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        embedding(folder)
    return str(caught.value)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_sentence_transformers_model_is_an_embedder(tmp_path: Path, normalize: bool) -> None:
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    folder = model(tmp_path, modules=modules(*kinds), **{"1_Pooling__config": MEAN})
    assert embedding(folder) == TextEmbedding(dimension=384, pooling="mean", normalize=normalize)


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode": ["lasttoken"]}, "lasttoken"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
        ({"word_embedding_dimension": 384}, "mean"),
    ],
)
def test_the_pooling_is_read_in_its_older_and_newer_form(
    tmp_path: Path, pooling: Content, mode: str
) -> None:
    assert embedding(pooled(tmp_path, pooling)).pooling == mode


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
        {"pooling_mode": "attention"},
        {"pooling_mode": ["cls", "mean"]},
        {"pooling_mode": []},
    ],
)
def test_another_pooling_is_refused(tmp_path: Path, pooling: Content) -> None:
    folder = pooled(tmp_path, pooling)
    assert f"{folder}/1_Pooling/config.json asks for a pooling that is not" in refusal(folder)


def layered(folder: Path, *layers: Content) -> Path:
    """A mean embedder with dense layers and normalisation."""
    paths = ("", "1_Pooling", *(f"{n}_Dense" for n in range(2, 2 + len(layers))), "9_Normalize")
    stated = modules("Transformer", "Pooling", *["Dense"] * len(layers), "Normalize", paths=paths)
    configs = {f"{path}__config": each for path, each in zip(paths[2:], layers, strict=False)}
    return model(folder, modules=stated, **{"1_Pooling__config": MEAN}, **configs)


def test_dense_layers_are_read_in_order(tmp_path: Path) -> None:
    wide: Content = {"in_features": 384, "out_features": 512}
    narrow: Content = {
        "in_features": 512,
        "out_features": 64,
        "activation_function": "torch.nn.modules.linear.Identity",
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    }
    folder = layered(tmp_path, wide, narrow)
    # Tanh is the default of sentence-transformers.
    assert dense_layers(folder) == [
        Dense("2_Dense", 384, 512, "Tanh"),
        Dense("3_Dense", 512, 64, "Identity"),
    ]
    assert embedding(folder) == TextEmbedding(dimension=64, pooling="mean", normalize=True)


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        ({"in_features": 32}, "takes 32 values, but what comes before it gives 384"),
        ({"activation_function": "torch.nn.modules.activation.PReLU"}, "PReLU; supported are"),
        ({"activation_function": "mine.Tanh"}, "has the activation mine.Tanh"),
        ({"module_input_name": "token_embeddings"}, "something else than the sentence_embedding"),
        ({"out_features": "many"}, "is not valid"),
    ],
)
def test_an_unsupported_layer_is_refused(tmp_path: Path, layer: Content, complaint: str) -> None:
    said = refusal(layered(tmp_path, {"in_features": 384, "out_features": 64} | layer))
    assert f"{tmp_path}/2_Dense/config.json" in said
    assert complaint in said


def test_a_layer_without_a_configuration_is_refused(tmp_path: Path) -> None:
    folder = layered(tmp_path, {"in_features": 384, "out_features": 64})
    (folder / "2_Dense" / "config.json").unlink()
    assert refusal(folder) == f"{folder}/2_Dense/config.json is missing"


@pytest.mark.parametrize(
    ("kinds", "complaint"),
    [
        (["Transformer", "LSTM"], "/modules.json has a LSTM module"),
        (["Transformer", "Dense"], "has Transformer, Dense; supported is"),
        (["Transformer", "Normalize", "Pooling"], "Normalize, Pooling; supported is"),
        (["Transformer", "Pooling"], "/1_Pooling/config.json is missing"),
    ],
)
def test_unsupported_modules_are_refused(tmp_path: Path, kinds: list[str], complaint: str) -> None:
    assert complaint in refusal(model(tmp_path, modules=modules(*kinds)))


def test_invalid_modules_are_named(tmp_path: Path) -> None:
    folder = model(tmp_path, modules={"not": "a list"})
    assert f"{folder}/modules.json is not valid" in refusal(folder)


def test_a_folder_without_modules_is_pooled_by_the_mean(tmp_path: Path) -> None:
    assert embedding(tmp_path) == TextEmbedding(dimension=384, pooling="mean", normalize=False)


def test_prompts_are_read_with_the_name_of_the_default(tmp_path: Path) -> None:
    task = embedding(prompted(tmp_path, {"prompts": PROMPTS, "default_prompt_name": "query"}))
    assert task.prompts == {"query": "query: ", "passage": "passage: ", "document": ""}
    assert task.default_prompt == "query"


@pytest.mark.parametrize("settings", [{}, {"prompts": {}}, {"prompts": None}])
def test_a_model_without_prompts_has_no_fields_for_them(tmp_path: Path, settings: Content) -> None:
    described = msgspec.json.decode(msgspec.json.encode(embedding(prompted(tmp_path, settings))))
    assert set(described) == {"name", "dimension", "pooling", "normalize"}


@pytest.mark.parametrize(
    ("default", "include_prompt", "complaint"),
    [
        ("other", True, "config_sentence_transformers.json has no prompt other"),
        ("query", False, "1_Pooling/config.json leaves the prompts' tokens out"),
        (None, False, "1_Pooling/config.json leaves the prompts' tokens out"),
    ],
)
def test_a_default_prompt_must_exist_and_be_pooled(
    tmp_path: Path, default: str | None, include_prompt: bool, complaint: str
) -> None:
    settings: Content = {"prompts": PROMPTS, "default_prompt_name": default}
    assert complaint in refusal(prompted(tmp_path, settings, include_prompt=include_prompt))


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ({"modules": modules("Transformer", "Dense")}, "has a Dense module"),
        ({"config_sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}, "activation Tanh"),
        ({"config_sentence_transformers": DEFAULT_PROMPT}, "has a default prompt"),
    ],
)
def test_a_cross_encoder_with_more_than_a_classifier_is_refused(
    tmp_path: Path, folder: Content, complaint: str
) -> None:
    with pytest.raises(SourceError, match=complaint):
        ranking(model(tmp_path, **folder), None)

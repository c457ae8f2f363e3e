"""What sentence-transformers folders say of themselves: modules, pooling, prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from storage_init.base.errors import SourceError
from storage_init.format.package import TextEmbedding
from storage_init.raw.sentence_config import Dense, dense_layers, ranking
from storage_init.raw.sentence_config import embedding as read

if TYPE_CHECKING:
    from pathlib import Path

Content = dict[str, object]

MEAN: Content = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}
PROMPTS: Content = {"query": "query: ", "passage": "passage: ", "document": None}


def modules(*kinds: str) -> list[Content]:
    paths = ["", "1_Pooling", "2_Normalize"]
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=False))
    ]


def model(folder: Path, **files: object) -> Path:
    """A model folder; ``__`` in a keyword is a slash, ``.json`` is added."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(content))
    return folder


def prompted(folder: Path, settings: Content, *, include_prompt: bool = True) -> Path:
    """A mean embedder with prompts."""
    return model(
        folder,
        modules=modules("Transformer", "Pooling"),
        config_sentence_transformers=settings,
        **{"1_Pooling__config": MEAN | {"include_prompt": include_prompt}},
    )


def embedding(folder: Path) -> TextEmbedding:
    return read(folder, 384)


def refusal(folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        embedding(folder)
    return str(caught.value)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_sentence_transformers_model_is_an_embedder(tmp_path: Path, normalize: bool) -> None:
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    # Its modules say what it is, whatever the architecture of its encoder.
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
    pooled = {"1_Pooling__config": pooling}
    folder = model(tmp_path, modules=modules("Transformer", "Pooling"), **pooled)
    assert embedding(folder).pooling == mode


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
        {"pooling_mode": "attention"},
        {"pooling_mode": ["cls", "mean"]},
        {"pooling_mode": []},
    ],
)
def test_another_pooling_is_refused_with_its_file_named(tmp_path: Path, pooling: Content) -> None:
    pooled = {"1_Pooling__config": pooling}
    folder = model(tmp_path, modules=modules("Transformer", "Pooling"), **pooled)
    assert f"{folder}/1_Pooling/config.json asks for a pooling that is not" in refusal(folder)


def test_an_unsupported_module_is_refused_by_name(tmp_path: Path) -> None:
    folder = model(tmp_path, modules=modules("Transformer", "LSTM"))
    assert f"{folder}/modules.json has a LSTM module" in refusal(folder)


def layered(folder: Path, *layers: Content) -> Path:
    """A mean embedder with layers over its pooled vector, normalised."""
    paths = ["", "1_Pooling", *(f"{n}_Dense" for n in range(2, 2 + len(layers))), "9_Normalize"]
    kinds = ["Transformer", "Pooling", *["Dense"] * len(layers), "Normalize"]
    stated = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    configs = {f"{path}__config": each for path, each in zip(paths[2:], layers, strict=False)}
    return model(folder, modules=stated, **{"1_Pooling__config": MEAN}, **configs)


def test_layers_over_the_pooled_vector_are_read_in_their_order(tmp_path: Path) -> None:
    wide: Content = {"in_features": 384, "out_features": 512}
    narrow: Content = {
        "in_features": 512,
        "out_features": 64,
        "activation_function": "torch.nn.modules.linear.Identity",
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    }
    folder = layered(tmp_path, wide, narrow)
    # Tanh is what sentence-transformers takes where nothing is stated.
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
def test_a_layer_that_is_not_supported_is_refused_with_its_file_named(
    tmp_path: Path, layer: Content, complaint: str
) -> None:
    said = refusal(layered(tmp_path, {"in_features": 384, "out_features": 64} | layer))
    assert f"{tmp_path}/2_Dense/config.json" in said
    assert complaint in said


def test_a_layer_without_a_configuration_is_refused(tmp_path: Path) -> None:
    folder = layered(tmp_path, {"in_features": 384, "out_features": 64})
    (folder / "2_Dense" / "config.json").unlink()
    assert refusal(folder) == f"{folder}/2_Dense/config.json is missing"


@pytest.mark.parametrize(
    "kinds", [("Transformer", "Dense"), ("Transformer", "Normalize", "Pooling")]
)
def test_modules_in_another_order_are_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    assert f"has {', '.join(kinds)}; supported is" in refusal(
        model(tmp_path, modules=modules(*kinds))
    )


def test_a_missing_pooling_config_is_named(tmp_path: Path) -> None:
    folder = model(tmp_path, modules=modules("Transformer", "Pooling"))
    assert refusal(folder) == f"{folder}/1_Pooling/config.json is missing"


def test_modules_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = model(tmp_path, modules={"not": "a list"})
    assert f"{folder}/modules.json is not valid" in refusal(folder)


def test_without_modules_it_is_the_mean(tmp_path: Path) -> None:
    assert embedding(tmp_path) == TextEmbedding(dimension=384, pooling="mean", normalize=False)


def test_prompts_are_kept_by_name_with_the_default_one(tmp_path: Path) -> None:
    task = embedding(prompted(tmp_path, {"prompts": PROMPTS, "default_prompt_name": "query"}))
    assert task.prompts == {"query": "query: ", "passage": "passage: ", "document": ""}
    assert task.default_prompt == "query"


@pytest.mark.parametrize("settings", [{}, {"prompts": {}}, {"prompts": None}])
def test_a_model_without_prompts_is_described_as_ever(tmp_path: Path, settings: Content) -> None:
    described = msgspec.json.decode(msgspec.json.encode(embedding(prompted(tmp_path, settings))))
    assert set(described) == {"name", "dimension", "pooling", "normalize"}


def test_a_default_prompt_that_there_is_not_is_refused(tmp_path: Path) -> None:
    folder = prompted(tmp_path, {"prompts": PROMPTS, "default_prompt_name": "other"})
    assert "config_sentence_transformers.json has no prompt other" in refusal(folder)


def test_prompts_that_are_left_out_of_the_pooling_cannot_be_asked_for(tmp_path: Path) -> None:
    folder = prompted(tmp_path, {"prompts": PROMPTS}, include_prompt=False)
    assert not embedding(folder).prompts


def test_a_default_prompt_that_is_left_out_of_the_pooling_is_refused(tmp_path: Path) -> None:
    settings: Content = {"prompts": PROMPTS, "default_prompt_name": "query"}
    folder = prompted(tmp_path, settings, include_prompt=False)
    assert "1_Pooling/config.json leaves the prompt's tokens out" in refusal(folder)


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ({"modules": modules("Transformer", "Dense")}, "has a Dense module"),
        ({"config_sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}, "activation Tanh"),
        (
            {
                "config_sentence_transformers": {
                    "prompts": {"query": "q: "},
                    "default_prompt_name": "query",
                }
            },
            "has a default prompt",
        ),
    ],
)
def test_a_cross_encoder_that_is_more_than_a_classifier_is_refused(
    tmp_path: Path, folder: Content, complaint: str
) -> None:
    with pytest.raises(SourceError, match=complaint):
        ranking(model(tmp_path, **folder), None)

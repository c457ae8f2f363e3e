"""The modules, pooling and prompts that a sentence-transformers folder states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import UNSET

from storage_init.base.errors import SourceError
from storage_init.format.tasks import Pooling, TextEmbedding, TextRanking

if TYPE_CHECKING:
    from pathlib import Path

MODULES_FILE = "modules.json"
SETTINGS_FILE = "config_sentence_transformers.json"
# By the name of PyTorch's class; a cross-encoder that states none has the first.
_ACTIVATIONS: dict[str, Literal["sigmoid", "none"]] = {"Sigmoid": "sigmoid", "Identity": "none"}
# The older form of `1_Pooling/config.json`: one flag for each mode.
_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

# In the order in which sentence-transformers applies them.
_MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
Activation = Literal["Identity", "Tanh", "ReLU", "GELU", "Sigmoid"]

_T = TypeVar("_T")


class Dense(NamedTuple):
    """A layer over the pooled vector, with its weights in ``folder``, below the model's.

    ``activation`` is the name of PyTorch's class.
    """

    folder: str
    inputs: int
    outputs: int
    activation: Activation

    @property
    def weights(self) -> str:
        """The path of its weights, below the model's folder."""
        return f"{self.folder}/model.safetensors"


class _Module(msgspec.Struct):
    """An entry of ``modules.json``."""

    path: str
    type: str

    @property
    def kind(self) -> str:
        return self.type.rpartition(".")[2]


class _Pooling(msgspec.Struct):
    """``1_Pooling/config.json`` in its older and newer form."""

    pooling_mode: str | list[str] | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False
    include_prompt: bool = True

    @property
    def modes(self) -> list[str]:
        if self.pooling_mode is not None:
            return [self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode
        return [mode for flag, mode in _FLAGS.items() if getattr(self, flag)] or ["mean"]


class _Dense(msgspec.Struct):
    """``2_Dense/config.json``; PyTorch's class by its full name."""

    in_features: int
    out_features: int
    activation_function: str = "torch.nn.modules.activation.Tanh"
    module_input_name: str = "sentence_embedding"
    module_output_name: str | None = None


class _Settings(msgspec.Struct):
    """``config_sentence_transformers.json``."""

    model_type: str = "SentenceTransformer"
    activation_fn: str | None = None
    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None


def embedding(folder: Path, dimension: int) -> TextEmbedding:
    """Return how an embedder turns token states of ``dimension`` values into one vector per text.

    Without ``modules.json`` it is their mean, as in sentence-transformers. The layers of
    :func:`dense_layers` come between the pooling and the normalisation.

    Raises:
        SourceError: a module, the pooling or the use of prompts is not supported.
    """
    modules = _read_modules(folder)
    _check_modules(folder, [module.kind for module in modules])
    at = next((m.path for m in modules if m.kind == "Pooling"), None)
    pooling = _Pooling() if at is None else _read_pooling(folder / at / "config.json")
    prompts, default = _prompts(folder)
    if any(prompts.values()) and not pooling.include_prompt:
        raise SourceError(
            f"{folder}/{at}/config.json leaves the prompts' tokens out (include_prompt), which is "
            "not supported"
        )
    for layer in dense_layers(folder):
        if layer.inputs != dimension:
            raise SourceError(
                f"{folder}/{layer.folder}/config.json takes {layer.inputs} values, but what comes "
                f"before it gives {dimension}"
            )
        dimension = layer.outputs
    return TextEmbedding(
        dimension=dimension,
        pooling=_mode(pooling, folder / (at or "") / "config.json"),
        normalize=any(m.kind == "Normalize" for m in modules),
        prompts=prompts or UNSET,
        default_prompt=UNSET if default is None else default,
    )


def dense_layers(folder: Path) -> list[Dense]:
    """Return the dense layers that a pooled vector goes through, in order.

    Raises:
        SourceError: a layer's configuration is missing, not valid or not supported.
    """
    return [_dense(folder, m.path) for m in _read_modules(folder) if m.kind == "Dense"]


def _dense(folder: Path, at: str) -> Dense:
    path = folder / at / "config.json"
    config = read_json(path, _Dense)
    if config is None:
        raise SourceError(f"{path} is missing")
    if {config.module_input_name, config.module_output_name} - {"sentence_embedding", None}:
        raise SourceError(f"{path} has a layer over something else than the sentence_embedding")
    name = config.activation_function.rpartition(".")[2]
    known = [each for each in get_args(Activation) if each == name]
    if not known or not config.activation_function.startswith("torch.nn."):
        raise SourceError(
            f"{path} has the activation {config.activation_function}; supported are torch.nn's "
            f"{', '.join(get_args(Activation))}"
        )
    return Dense(at, config.in_features, config.out_features, known[0])


def _check_modules(folder: Path, kinds: list[str]) -> None:
    for kind in kinds:
        if kind not in _MODULES:
            raise SourceError(
                f"{folder}/{MODULES_FILE} has a {kind} module; supported are {', '.join(_MODULES)}"
            )
    if kinds != sorted(kinds, key=_MODULES.index) or ("Dense" in kinds and "Pooling" not in kinds):
        raise SourceError(
            f"{folder}/{MODULES_FILE} has {', '.join(kinds)}; supported is the order "
            f"{', '.join(_MODULES)}"
        )


def is_cross_encoder(folder: Path) -> bool:
    """Return whether a folder states that it is a cross-encoder, as of sentence-transformers 5."""
    return _settings(folder).model_type == "CrossEncoder"


def ranking(folder: Path, stated: str | None) -> TextRanking:
    """Return how a cross-encoder turns its logit into a score.

    Args:
        folder: the model's folder.
        stated: the activation's class from ``config.json``, where older versions keep it.

    Raises:
        SourceError: a module, the activation or the use of prompts is not supported.
    """
    for module in _read_modules(folder):
        if module.kind != "Transformer":
            raise SourceError(
                f"{folder}/{MODULES_FILE} has a {module.kind} module; of cross-encoders only those "
                "are supported that are a Transformer"
            )
    prompts, default = _prompts(folder)
    if default is not None and prompts[default]:
        raise SourceError(f"{folder}/{SETTINGS_FILE} has a default prompt, which is not supported")
    name = (_settings(folder).activation_fn or stated or "Sigmoid").rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise SourceError(
            f"{folder} has the activation {name}; supported are {', '.join(_ACTIVATIONS)}"
        )
    return TextRanking(activation=_ACTIVATIONS[name])


def _settings(folder: Path) -> _Settings:
    return read_json(folder / SETTINGS_FILE, _Settings) or _Settings()


def _read_modules(folder: Path) -> list[_Module]:
    return read_json(folder / MODULES_FILE, list[_Module]) or []


def _read_pooling(path: Path) -> _Pooling:
    config = read_json(path, _Pooling)
    if config is None:
        raise SourceError(f"{path} is missing")
    return config


def _mode(config: _Pooling, path: Path) -> Pooling:
    known = get_args(Pooling)
    modes = [mode for mode in known if mode in config.modes]
    if len(config.modes) != 1 or not modes:
        raise SourceError(f"{path} asks for a pooling that is not one of {', '.join(known)}")
    mode: Pooling = modes[0]
    return mode


def _prompts(folder: Path) -> tuple[dict[str, str], str | None]:
    """Return the prompts by name, and the name of the default prompt."""
    config = _settings(folder)
    prompts = {name: prompt or "" for name, prompt in (config.prompts or {}).items()}
    if config.default_prompt_name is not None and config.default_prompt_name not in prompts:
        raise SourceError(
            f"{folder}/{SETTINGS_FILE} has no prompt {config.default_prompt_name}, its default"
        )
    return prompts, config.default_prompt_name


def read_json(path: Path, kind: type[_T]) -> _T | None:
    """Decode a JSON file, or return None if there is no such file.

    Raises:
        SourceError: the file is not valid; the message says where.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{path} is not valid: {error}") from error

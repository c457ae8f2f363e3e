"""What a sentence-transformers folder says of itself: its modules, pooling and prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET

from storage_init.errors import SourceError
from storage_init.package import Pooling, TextEmbedding, TextRanking

if TYPE_CHECKING:
    from pathlib import Path

MODULES_FILE = "modules.json"
SETTINGS_FILE = "config_sentence_transformers.json"
# By the name of PyTorch's class; a cross-encoder that names none has the first.
_ACTIVATIONS: dict[str, Literal["sigmoid", "none"]] = {"Sigmoid": "sigmoid", "Identity": "none"}
# How `1_Pooling/config.json` named them first, one flag each.
_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}

_T = TypeVar("_T")


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


class _Settings(msgspec.Struct):
    """``config_sentence_transformers.json``."""

    model_type: str = "SentenceTransformer"
    activation_fn: str | None = None
    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None


def embedding(folder: Path, dimension: int) -> TextEmbedding:
    """How an embedder whose states have ``dimension`` values makes one vector of a text's.

    Without ``modules.json`` it is their mean, as sentence-transformers does.

    Raises:
        SourceError: a module, a pooling or a use of prompts that is not supported.
    """
    modules = _read_modules(folder)
    for module in modules:
        if module.kind not in ("Transformer", "Pooling", "Normalize"):
            raise SourceError(
                f"{folder}/{MODULES_FILE} has a {module.kind} module; supported are Transformer, "
                "Pooling and Normalize"
            )
    at = next((m.path for m in modules if m.kind == "Pooling"), None)
    pooling = _Pooling() if at is None else _read_pooling(folder / at / "config.json")
    prompts, default = _prompts(folder)
    if default is not None and prompts[default] and not pooling.include_prompt:
        raise SourceError(
            f"{folder}/{at}/config.json leaves the prompt's tokens out (include_prompt), which is "
            "not supported"
        )
    return TextEmbedding(
        dimension=dimension,
        pooling=_mode(pooling, folder / (at or "") / "config.json"),
        normalize=any(m.kind == "Normalize" for m in modules),
        prompts=prompts if prompts and pooling.include_prompt else UNSET,
        default_prompt=UNSET if default is None or not pooling.include_prompt else default,
    )


def is_cross_encoder(folder: Path) -> bool:
    """Whether a folder says that it is one, as those of sentence-transformers 5 do."""
    return _settings(folder).model_type == "CrossEncoder"


def ranking(folder: Path, stated: str | None) -> TextRanking:
    """How a cross-encoder makes a score of its one logit.

    Args:
        folder: the model's.
        stated: the activation's class in ``config.json``, where older versions keep it.

    Raises:
        SourceError: a module, an activation or a use of prompts that is not supported.
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
    """The prompts by name, and the name of the one that texts get without asking."""
    config = _settings(folder)
    prompts = {name: prompt or "" for name, prompt in (config.prompts or {}).items()}
    if config.default_prompt_name is not None and config.default_prompt_name not in prompts:
        raise SourceError(
            f"{folder}/{SETTINGS_FILE} has no prompt {config.default_prompt_name}, its default"
        )
    return prompts, config.default_prompt_name


def read_json(path: Path, kind: type[_T]) -> _T | None:
    """A file's content, None if there is no such file.

    Raises:
        SourceError: it is not valid; says where.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"{path} is not valid: {error}") from error

"""Tiny models of an architecture's real classes, with random weights, as Hugging Face folders."""

from __future__ import annotations

import inspect
import json
import zlib
from typing import TYPE_CHECKING, Any, Literal

from tests.architectures.catalogue import COMMON
from tests.architectures.texts import TEXTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.architectures.catalogue import Architecture

Head = Literal["classifier", "embedder", "reranker", "tagger", "reader", "masked"]
# One classifier is asked for labels, about pairs and, as a model of entailment, zero-shot.
_CLASSES: dict[Head, str] = {
    "classifier": "AutoModelForSequenceClassification",
    "embedder": "AutoModel",
    "reranker": "AutoModelForSequenceClassification",
    "tagger": "AutoModelForTokenClassification",
    "reader": "AutoModelForQuestionAnswering",
    "masked": "AutoModelForMaskedLM",
}
_LABELS = {
    "classifier": ["contradiction", "neutral", "entailment"],
    "reranker": ["LABEL_0"],
    "tagger": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
}
_MODULES = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}


class NoSuchModelError(Exception):
    """There is no model of this architecture for this task."""


def make(architecture: Architecture, head: Head, folder: Path) -> Path:
    """Write a model and its tokenizer, the same ones every time, and return their folder.

    Raises:
        NoSuchModelError: the architecture has no such head.
    """
    if architecture.trained is not None:
        if head != "embedder":
            raise NoSuchModelError
        return architecture.trained()
    import torch
    import transformers

    torch.manual_seed(zlib.crc32(f"{architecture.name} {head}".encode()))
    tokenizer = architecture.tokenizer(folder)
    config = transformers.AutoConfig.for_model(
        architecture.model_type, **_settings(architecture, head, tokenizer)
    )
    # Of several classes, as Funnel has them, transformers would look for one of these.
    config.architectures = []
    try:
        model = getattr(transformers, _CLASSES[head]).from_config(config).eval()
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise NoSuchModelError from error
    _shake(model)
    if head in _LABELS:
        _even_out(model, tokenizer, len(_LABELS[head]))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if head == "embedder":
        write_modules(folder, model.config.hidden_size, architecture.pooling)
    return folder


def write_modules(folder: Path, width: int, pooling: str = "mean") -> None:
    """Make a folder one of sentence-transformers': pooling, then vectors of length 1."""
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(_MODULES.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    path = folder / _MODULES["Pooling"] / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"word_embedding_dimension": width, "pooling_mode": pooling}))


def _settings(architecture: Architecture, head: Head, tokenizer: Any) -> dict[str, Any]:
    stated = {**COMMON, **architecture.settings, "vocab_size": len(tokenizer)}
    settings = {name: value for name, value in stated.items() if value is not None}
    for name in ("pad", "bos", "eos", "cls", "sep"):
        if (token := getattr(tokenizer, f"{name}_token_id")) is not None:
            settings.setdefault(f"{name}_token_id", token)
    labels = dict(enumerate(_LABELS.get(head, [])))
    if labels:
        settings |= {"id2label": labels, "label2id": {name: n for n, name in labels.items()}}
    return settings


def _shake(model: Any) -> None:
    """Randomise norms and biases: a lost one would not show if they were ones and zeros."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))


def _even_out(model: Any, tokenizer: Any, labels: int) -> None:
    """Shift the last bias, if any, so that no label wins for every text, as at random."""
    import torch

    linear = torch.nn.Linear
    last = [m for m in model.modules() if isinstance(m, linear) and m.out_features == labels][-1]
    accepted = inspect.signature(model.forward).parameters
    logits = []
    # Funnel cannot take very short texts.
    for text in (text for text in TEXTS if len(text.split()) > 8):
        inputs = tokenizer(text, truncation=True, return_tensors="pt")
        taken = {name: tensor for name, tensor in inputs.items() if name in accepted}
        with torch.inference_mode():
            logits.append(model(**taken).logits.reshape(-1, labels))
    if last.bias is not None:
        with torch.no_grad():
            last.bias -= torch.cat(logits).mean(dim=0)

"""Checks that a source has every weight that its configuration asks for, in the right shape.

transformers compares them, because it knows which weights are tied, renamed or left out. In their
stored type it maps them and copies nothing, so this takes a fraction of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pipeline.original.heads import be_quiet
from pipeline.original.inspection import no_head
from storage_init.base.errors import SourceError
from storage_init.raw.weights import file_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.original.heads import Head
    from storage_init.format.tasks import Task

# Tokens of the text that shows which weights an answer needs.
LENGTH = 16
# Names of weights in a message.
SHOWN = 3


def check_weights(folder: Path, head: Head, task: Task) -> None:
    """Refuse a source that lacks a weight that the answer needs, or has one of another shape.

    Raises:
        SourceError: names the weights and their file, and says what to do.
    """
    be_quiet()
    settings = {"ignore_mismatched_sizes": True, "output_loading_info": True}
    model, found = head.load(folder, **settings)
    if found["mismatched_keys"]:
        name, stored, configured = sorted(found["mismatched_keys"])[0]
        raise SourceError(
            f"the weights do not fit {folder}/config.json: {name} is {[*stored]} in the file, and "
            f"{[*configured]} by the configuration"
        )
    missing = _needed(model.float().eval(), sorted(found["missing_keys"]), head)
    if not missing:
        return
    below = f"{model.base_model_prefix}."
    if model.base_model is not model and not any(name.startswith(below) for name in missing):
        raise no_head(folder, task)
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    raise SourceError(
        f"{file_of(folder, missing[0])} has no {', '.join(missing[:SHOWN])}{more}, which "
        f"{folder}/config.json asks for: copy or download the whole source again, or correct its "
        "config.json"
    )


def _needed(model: Any, missing: Sequence[str], head: Head) -> list[str]:
    """Of weights that were made up while the model was loaded, those that its answer needs."""
    if not missing:
        return []
    parameters = dict(model.named_parameters())
    made_up = {name: parameters[name] for name in missing if name in parameters}
    text = torch.ones((1, LENGTH), dtype=torch.int64)
    answer = model(input_ids=text, attention_mask=text)
    total = torch.stack([answer[name].sum() for name in head.outputs]).sum()
    gradients = torch.autograd.grad(total, list(made_up.values()), allow_unused=True)
    return [name for name, found in zip(made_up, gradients, strict=True) if found is not None]

"""What optimum's exporter takes, and encoders that it takes once it knows their names."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import transformers
from optimum.exporters.onnx import model_configs
from optimum.exporters.tasks import TasksManager

from pipeline.graphs.files import GraphError
from storage_init.running.runtime import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = "transformers"
# Encoders that take what one of optimum's does, and which one: nothing else matters to it.
_LIKE = {
    "ernie": model_configs.BertOnnxConfig,
    "modernbert": model_configs.ModernBertOnnxConfig,
    "roberta-prelayernorm": model_configs.RobertaOnnxConfig,
    "xlm-roberta-xl": model_configs.RobertaOnnxConfig,
}


def check(source: Path, model_type: str, task: str) -> None:
    """Refuse what cannot be exported, before anything heavy starts.

    Args:
        source: a Hugging Face folder.
        model_type: as its configuration states it.
        task: as optimum calls it.

    Raises:
        GraphError: says what is lacking.
    """
    if model_type not in transformers.CONFIG_MAPPING:
        raise GraphError(
            f"transformers {transformers.__version__} does not know it, and code that comes with a "
            "model is not run"
        )
    if model_type in _LIKE:
        # What optimum has itself by now stays.
        register = TasksManager.create_register("onnx")
        register(model_type, *model_configs.COMMON_TEXT_TASKS)(_LIKE[model_type])
    exporter = f"optimum-onnx {metadata.version('optimum-onnx')}"
    try:
        known = TasksManager.get_supported_tasks_for_model_type(
            model_type, "onnx", library_name=LIBRARY
        )
    except KeyError as error:
        raise GraphError(f"{exporter} does not export this architecture") from error
    if task not in known:
        raise GraphError(f"{exporter} does not export it for {task}, only for {', '.join(known)}")
    config = known[task](transformers.AutoConfig.from_pretrained(source, trust_remote_code=False))
    if more := [name for name in config.inputs if name not in TOKENIZER_INPUTS]:
        raise GraphError(f"it takes {', '.join(more)}, which a tokenizer does not make")

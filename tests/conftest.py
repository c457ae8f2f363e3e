"""Models and prepared packages, each made once a session, and keys that many tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.machine.documents import summary
from tests.support.models.exports import export_onnx
from tests.support.models.keys import KeyPair, key_pair
from tests.support.models.models import (
    make_classifier,
    make_embedder,
    make_masked,
    make_nli,
    make_reader,
    make_reranker,
    make_tagger,
)
from tests.support.models.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the documentation was tested, say what of it was not run, and why."""
    passed = terminalreporter.stats.get("passed", [])
    if any("test_docs_commands" in report.nodeid for report in passed):
        terminalreporter.write_line(summary())


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    """A key pair to sign with, ``key.pem`` and ``key.pub``."""
    return key_pair(tmp_path)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT classifier as a Hugging Face folder; read only."""
    return make_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT embedder as a sentence-transformers folder; read only."""
    return make_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="session")
def onnx_classifier(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier as a repository of its ONNX graph: no PyTorch to prepare it; read only."""
    return export_onnx(classifier, tmp_path_factory.mktemp("onnx") / "classifier")


@pytest.fixture(scope="session")
def prepared_classifier(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's published version, with fp32 and int8; read only: copy it to change it."""
    return prepare(classifier, "classifier", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def prepared_embedder(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedder's published version; read only."""
    return prepare(embedder, "embedder", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT token classifier as a Hugging Face folder; read only."""
    return make_tagger(tmp_path_factory.mktemp("tagger"))


@pytest.fixture(scope="session")
def prepared_tagger(tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published version; read only."""
    return prepare(tagger, "tagger", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT question answering model as a Hugging Face folder; read only."""
    return make_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def prepared_reader(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published version; read only."""
    return prepare(reader, "reader", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT mask filling model as a Hugging Face folder; read only."""
    return make_masked(tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="session")
def prepared_masked(masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published version; read only."""
    return prepare(masked, "masked", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT model of entailment as a Hugging Face folder; read only."""
    return make_nli(tmp_path_factory.mktemp("nli"))


@pytest.fixture(scope="session")
def prepared_nli(nli: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published version; read only."""
    return prepare(nli, "nli", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT cross-encoder as a Hugging Face folder; read only."""
    return make_reranker(tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="session")
def prepared_reranker(reranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its published version, with fp32 and int8; read only."""
    return prepare(reranker, "reranker", tmp_path_factory.mktemp("store"))

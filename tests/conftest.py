"""Models and prepared packages that many tests share, and keys.

All folders here are shared by all workers and all runs: a test that changes one copies it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.machine.documents import summary
from tests.support.machine.skips import SkipReport
from tests.support.models.exports import exported
from tests.support.models.keys import KeyPair, key_pair
from tests.support.models.models import (
    make_classifier,
    make_embedder,
    make_masked,
    make_nli,
    make_reader,
    make_reranker,
    make_tagger,
    source,
)
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from pathlib import Path


# No test depends on the machine's speed.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak-seconds", default="120", help="how long test_soak.py runs")


def pytest_configure(config: pytest.Config) -> None:
    """In CI, fail the run where a test is skipped that may not be."""
    config.pluginmanager.register(SkipReport())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After tests of the documentation, say which of its commands were not run, and why."""
    passed = terminalreporter.stats.get("passed", [])
    if any("test_docs_commands" in report.nodeid for report in passed):
        terminalreporter.write_line(summary())


@pytest.fixture
def keys(tmp_path: Path) -> KeyPair:
    """A key pair to sign with, ``key.pem`` and ``key.pub``."""
    return key_pair(tmp_path)


@pytest.fixture(scope="session")
def classifier() -> Path:
    """A tiny BERT classifier."""
    return source(make_classifier)


@pytest.fixture(scope="session")
def prepared_classifier(classifier: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(classifier, "classifier")


@pytest.fixture(scope="session")
def embedder() -> Path:
    """A tiny BERT embedder in sentence-transformers' layout."""
    return source(make_embedder)


@pytest.fixture(scope="session")
def prepared_embedder(embedder: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(embedder, "embedder")


@pytest.fixture(scope="session")
def tagger() -> Path:
    """A tiny BERT token classifier."""
    return source(make_tagger)


@pytest.fixture(scope="session")
def prepared_tagger(tagger: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(tagger, "tagger")


@pytest.fixture(scope="session")
def reader() -> Path:
    """A tiny BERT model for question answering."""
    return source(make_reader)


@pytest.fixture(scope="session")
def prepared_reader(reader: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(reader, "reader")


@pytest.fixture(scope="session")
def masked() -> Path:
    """A tiny BERT model that fills masks."""
    return source(make_masked)


@pytest.fixture(scope="session")
def prepared_masked(masked: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(masked, "masked")


@pytest.fixture(scope="session")
def nli() -> Path:
    """A tiny BERT model of entailment."""
    return source(make_nli)


@pytest.fixture(scope="session")
def prepared_nli(nli: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(nli, "nli")


@pytest.fixture(scope="session")
def reranker() -> Path:
    """A tiny BERT cross-encoder."""
    return source(make_reranker)


@pytest.fixture(scope="session")
def prepared_reranker(reranker: Path) -> Path:
    """Its published version, with fp32 and int8."""
    return prepared(reranker, "reranker")


@pytest.fixture(scope="session")
def onnx_classifier(classifier: Path) -> Path:
    """The classifier as a repository of its ONNX graph, which PyTorch does not prepare."""
    return exported(classifier)

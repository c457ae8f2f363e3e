"""Models and prepared packages, each made once a session, and keys that many tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.keys import KeyPair, key_pair
from tests.models import make_classifier, make_embedder
from tests.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path


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
def prepared_classifier(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's published version, with fp32 and int8; read only: copy it to change it."""
    return prepare(classifier, "classifier", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def prepared_embedder(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedder's published version; read only."""
    return prepare(embedder, "embedder", tmp_path_factory.mktemp("store"))

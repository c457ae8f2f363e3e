"""Servers and folders that integration tests share."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.harness.process import Predictor, launched, predictor
from tests.support.clients.waiting import wait_until_listening, wait_until_ready
from tests.support.models.models import PROMPTS, make_classifier, make_embedder, source
from tests.support.models.prepare import prepared
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    """A server of the classifier, named "m"; tests leave it as it is."""
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_classifier, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="session")
def prompted() -> Path:
    """An embedder with prompts."""
    return source(make_embedder, prompts=PROMPTS)


@pytest.fixture(scope="session")
def multi_label() -> Path:
    """A classifier that gives each label by itself."""
    return source(make_classifier, problem_type="multi_label_classification")


@pytest.fixture(scope="session")
def every_task(
    request: pytest.FixtureRequest,
    multi_label: Path,
    prompted: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a prepared model of every task, a multi-label one and one with prompts."""
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        (folder / task).symlink_to(request.getfixturevalue(f"prepared_{task}"))
    (folder / "multi_label").symlink_to(prepared(multi_label, "classifier"))
    (folder / "prompted").symlink_to(prepared(prompted, "embedder"))
    return folder


@pytest.fixture(scope="session")
def every_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of ``every_server``."""
    return tmp_path_factory.mktemp("log") / "predictor.log"


@pytest.fixture(scope="session")
def every_server(every_task: Path, every_log: Path) -> Iterator[Predictor]:
    """A server of ``every_task``; tests leave it as it is."""
    flags = (f"--models_dir={every_task}", "--variant=fp32", "--enable_docs_url=true")
    with predictor(every_task, every_log, *flags, name="classifier") as running:
        wait_until_ready(running)
        yield running


@pytest.fixture(scope="session")
def loading(
    classifier: Path, prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    """A server whose model "m" never becomes ready."""
    folder = waiting(classifier, prepared_classifier, tmp_path_factory.mktemp("plain"))
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with launched(folder, log) as running:
        wait_until_listening(running)
        yield running


@pytest.fixture
def waiting_folder(classifier: Path, prepared_classifier: Path, tmp_path: Path) -> Path:
    """A plain folder whose config is a named pipe: loading it waits until a test writes there."""
    return waiting(classifier, prepared_classifier, tmp_path / "plain")


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, every_server: Predictor) -> Predictor:
    """``every_server``, asked for the model that the test module names as ``MODEL``."""
    return replace(every_server, name=request.module.MODEL)


def waiting(classifier: Path, prepared_classifier: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(classifier / name, folder / name)
    for path in (prepared_classifier / "fp32").iterdir():
        shutil.copyfile(path, folder / path.name)
    os.mkfifo(folder / "config.json")
    return folder

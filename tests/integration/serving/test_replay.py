"""A rollout's replay of the self-test, against a real server with a model of every task."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import requests

from pipeline.rollout.replay import Address, ReplayError, replay, served_version
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("task", [*TASKS, "multi_label", "prompted"])
def test_a_server_answers_the_self_test_of_its_version(
    every_server: Predictor, every_task: Path, task: str
) -> None:
    folder = every_task / task
    done = replay(_address(every_server, task), folder)
    assert done.texts == len(SelfTest.load(folder / "selftest.npz").texts)
    assert 0 <= done.distance < 1e-3
    assert served_version(_address(every_server, task)) == read_package(folder)[1]


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_that_is_off_is_refused(
    every_server: Predictor, every_task: Path, task: str, tmp_path: Path
) -> None:
    folder = tmp_path / "version"
    shutil.copytree(every_task / task, folder)
    selftest = SelfTest.load(folder / "selftest.npz")
    wrong = selftest.reference.copy()
    wrong[-1] = -wrong[-1] - 1
    SelfTest(selftest.texts, np.asarray(wrong), selftest.rows, selftest.pairs).save(
        folder / "selftest.npz"
    )
    with pytest.raises(ReplayError, match=rf"off the reference on text {len(selftest.texts)} of"):
        replay(_address(every_server, task), folder)


def test_another_version_is_refused_by_name(every_server: Predictor, every_task: Path) -> None:
    served, other = (read_package(every_task / name)[1] for name in ("classifier", "multi_label"))
    with pytest.raises(ReplayError, match=f"answers from version {served}, not from {other}"):
        replay(_address(every_server, "classifier"), every_task / "multi_label")


def test_a_service_that_is_not_there_is_an_error_and_serves_no_version(every_task: Path) -> None:
    nowhere = Address(requests.Session(), "http://127.0.0.1:9", "classifier")
    with pytest.raises(ReplayError, match="does not answer"):
        replay(nowhere, every_task / "classifier")
    assert served_version(nowhere) is None


def _address(server: Predictor, model: str) -> Address:
    return Address(requests.Session(), server.url, model)

"""A run that is killed at a step and started again continues there; the store stays whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.workspace.records import STEPS
from storage_init.format.verify import verify
from storage_init.store.layout import Store

pytestmark = pytest.mark.integration


def start(source: Path, store: Path) -> subprocess.Popen[str]:
    flags = [f"--source={source.as_uri()}", "--name=m", f"--store={store}"]
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop_at(step: str, source: Path, store: Path, how: signal.Signals, *, group: bool) -> None:
    """Run until a step has begun, then end the run, with its whole process group or alone."""
    with start(source, store) as process:
        assert process.stderr is not None
        begun = f"▸ [{STEPS.index(step) + 1}/6] {step}"
        seen = []
        for line in process.stderr:
            seen.append(line)
            if line.startswith(begun):
                break
        else:
            pytest.fail("".join(seen))
        if group:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        process.communicate()
    assert process.returncode != 0


def check_resumes(step: str, source: Path, store: Path) -> None:
    """Check that nothing is published, and that the next run does only what was left to do."""
    assert Store(store).names() == []
    with start(source, store) as process:
        printed, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    done_before = [line for line in said.splitlines() if "run that was interrupted" in line]
    # The first step asks the source again, and finds its files there.
    inner = STEPS[1 : STEPS.index(step)]
    assert [line.split()[2] for line in done_before] == list(inner)
    published = Path(printed.splitlines()[-1])
    assert verify(published).name == "m"
    assert Store(store).current("m") == published.name
    assert list((store / ".staging").iterdir()) == []


def test_a_killed_run_continues_after_its_finished_steps(
    onnx_classifier: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    stop_at("evaluate", onnx_classifier, store, signal.SIGKILL, group=True)
    check_resumes("evaluate", onnx_classifier, store)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("how", "group"),
    [(signal.SIGKILL, True), (signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["killed", "ctrl-c", "sigterm"],
)
def test_a_run_continues_from_every_step(
    step: str, how: signal.Signals, group: bool, onnx_classifier: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    stop_at(step, onnx_classifier, store, how, group=group)
    check_resumes(step, onnx_classifier, store)


@pytest.mark.slow
def test_an_export_that_outlives_its_run_is_waited_for(classifier: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    # PyTorch's export has a process of its own.
    stop_at("export", classifier, store, signal.SIGKILL, group=False)
    check_resumes("export", classifier, store)

"""The steps as KFP components: parameters in, parameters out, files on the store's volume.

Each hands on the ``revision`` it worked on: that orders the steps, and makes the digest of the
source's content one of every step's inputs. No ``from __future__ import annotations`` here: KFP
reads the annotations themselves.
"""

from kfp import dsl

from pipeline import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def snapshot(
    source: str, recipe: str, store: str, name: str, workspace: str, force: bool = False
) -> str:
    """Pin the source to a revision and fetch it, unless the store has it prepared already.

    Returns the revision fetched, or "published": KFP's local runner knows conditions on a
    component's only output alone.
    """
    from pathlib import Path

    from pipeline.preparation import runner as stages
    from pipeline.preparation.outcome import component

    with component(Path(workspace)):
        return stages.snapshot(source, recipe, store, name, workspace, force=force)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(recipe: str, workspace: str, revision: str) -> str:
    """PyTorch to ONNX, unless the source is ONNX already."""
    from pipeline.preparation.runner import run_component

    run_component("export", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def optimize(recipe: str, workspace: str, revision: str) -> str:
    """Encoder fusions; writes the fp32 variant."""
    from pipeline.preparation.runner import run_component

    run_component("optimize", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def quantize(recipe: str, workspace: str, revision: str) -> str:
    """Writes the int8 variant."""
    from pipeline.preparation.runner import run_component

    run_component("quantize", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    recipe: str,
    workspace: str,
    revision: str,
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> str:
    """Every variant against the original model; the gates, and how each variant came out."""
    from pipeline.kubeflow import artifacts
    from pipeline.preparation.runner import run_component

    run_component("evaluate", workspace, recipe)
    artifacts.log(workspace, metrics, confusion)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish(  # noqa: PLR0913, PLR0917 - each is an input of the task
    recipe: str,
    workspace: str,
    store: str,
    name: str,
    revision: str,  # noqa: ARG001 - orders the steps
    report: dsl.Output[dsl.HTML],
    force: bool = False,
) -> str:
    """Make the prepared model of ``revision`` a version of the store; returns its folder."""
    import shutil
    from pathlib import Path

    from pipeline.preparation import runner as stages
    from pipeline.preparation.outcome import Outcome, component, leave
    from pipeline.recipe import recipe as recipes
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import REPORT_FILE
    from storage_init.store.layout import Store

    with component(Path(workspace)):
        work = Workspace(Path(workspace))
        folder = stages.publish(
            work, recipes.from_json(recipe), Store(Path(store)), name, supersede=force
        )
        leave(work.root, Outcome("published", str(folder)))
        shutil.copyfile(folder / REPORT_FILE, report.path)
        shutil.rmtree(work.root, ignore_errors=True)
    return str(folder)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finish(
    source: str,
    name: str,
    workspace: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Say how the run ended and, if it failed, why; runs whatever happened."""
    from pathlib import Path

    from pipeline.preparation.outcome import summarize

    text = summarize(source, name, Path(workspace), status.state, status.error_message or "")
    Path(summary.path).write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - the component's log

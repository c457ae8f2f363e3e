"""The steps as KFP components: parameters in, parameters out, files on the store's volume.

Each passes on the ``revision`` it worked on. That orders the steps, and makes the digest of the
source's content one of every step's inputs. No ``from __future__ import annotations`` here: KFP
reads the annotations themselves. KFP runs only the text of each function, so each imports what it
needs.
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

    from pipeline.kubeflow import outcome
    from pipeline.preparation.runner import find_prepared
    from storage_init import sources
    from storage_init.format.package import check_name
    from storage_init.store.layout import Store

    with outcome.component(workspace, recipe) as preparation:
        check_name(name)
        resolved = sources.resolve(source)
        hit = None
        if not force:
            known = Store(Path(store))
            hit = find_prepared(resolved, name, known, preparation.recipe, preparation.display)
        if hit is not None:
            outcome.write(Path(workspace), outcome.RunOutcome("already prepared", str(hit)))
            return "published"
        preparation.snapshot(resolved)
        return resolved.revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(recipe: str, workspace: str, revision: str) -> str:
    """PyTorch to ONNX, unless the source is ONNX already."""
    from pipeline.kubeflow.outcome import component

    with component(workspace, recipe) as preparation:
        preparation.run("export")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def optimize(recipe: str, workspace: str, revision: str) -> str:
    """Fuse the encoder's operators; writes the fp32 variant."""
    from pipeline.kubeflow.outcome import component

    with component(workspace, recipe) as preparation:
        preparation.run("optimize")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def quantize(recipe: str, workspace: str, revision: str) -> str:
    """Write the int8 variant."""
    from pipeline.kubeflow.outcome import component

    with component(workspace, recipe) as preparation:
        preparation.run("quantize")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    recipe: str,
    workspace: str,
    revision: str,
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> str:
    """Compare every variant with the original model and apply the gates."""
    from pipeline.kubeflow.outcome import component, log_evaluation

    with component(workspace, recipe) as preparation:
        preparation.run("evaluate")
        log_evaluation(preparation.workspace, metrics, confusion)
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

    from pipeline.kubeflow import outcome
    from storage_init.format.package import REPORT_FILE
    from storage_init.store.layout import Store

    with outcome.component(workspace, recipe) as preparation:
        folder = preparation.publish(Store(Path(store)), name, supersede=force)
        outcome.write(Path(workspace), outcome.RunOutcome("published", str(folder)))
        shutil.copyfile(folder / REPORT_FILE, report.path)
        shutil.rmtree(workspace, ignore_errors=True)
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

    from pipeline.kubeflow.outcome import summarize

    text = summarize(source, name, Path(workspace), status.state, status.error_message or "")
    Path(summary.path).write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - the component's log

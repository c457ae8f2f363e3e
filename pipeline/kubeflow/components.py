"""The steps as KFP components: parameters in, parameters out, files on the store's volume.

Each step gets what the run is for (source, name, recipe) and KFP's id of the run, and checks that
its folder is of that run. Each passes on the ``revision`` it worked on: that orders the steps, and
makes the digest of the source's content one of every step's inputs. No ``from __future__ import
annotations`` here: KFP reads the annotations themselves. KFP runs only the text of each function,
so each imports what it needs.
"""

from kfp import dsl

from pipeline import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def snapshot(source: str, name: str, recipe: str, store: str, run: str, force: bool = False) -> str:
    """Pin the source to a revision and fetch it, unless the store has it prepared already.

    Returns the revision fetched, or "published": KFP's local runner knows conditions on a
    component's only output alone.
    """
    from pipeline.kubeflow import outcome
    from pipeline.preparation.runner import find_prepared
    from storage_init import sources
    from storage_init.format.codec import check_name

    with outcome.component(source, name, recipe, store, run) as step:
        check_name(name)
        resolved = sources.resolve(source)
        preparation = step.preparation
        hit = None
        if not force:
            hit = find_prepared(resolved, name, step.store, preparation.recipe, preparation.display)
        if hit is not None:
            step.leave(outcome.RunOutcome("already prepared", str(hit)))
            return "published"
        step.claim()
        preparation.snapshot(resolved)
        return resolved.revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(source: str, name: str, recipe: str, store: str, run: str, revision: str) -> str:
    """PyTorch to ONNX, unless the source is ONNX already."""
    from pipeline.kubeflow.outcome import component

    with component(source, name, recipe, store, run, revision) as step:
        step.preparation.run("export")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def optimize(source: str, name: str, recipe: str, store: str, run: str, revision: str) -> str:
    """Fuse the encoder's operators; writes the fp32 variant."""
    from pipeline.kubeflow.outcome import component

    with component(source, name, recipe, store, run, revision) as step:
        step.preparation.run("optimize")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def quantize(source: str, name: str, recipe: str, store: str, run: str, revision: str) -> str:
    """Write the int8 variant."""
    from pipeline.kubeflow.outcome import component

    with component(source, name, recipe, store, run, revision) as step:
        step.preparation.run("quantize")
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(  # noqa: PLR0913, PLR0917
    source: str,
    name: str,
    recipe: str,
    store: str,
    run: str,
    revision: str,
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> str:
    """Compare every variant with the original model and apply the gates."""
    from pipeline.kubeflow.outcome import component, log_evaluation

    with component(source, name, recipe, store, run, revision) as step:
        step.preparation.run("evaluate")
        log_evaluation(step.preparation.workspace, metrics, confusion)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish(  # noqa: PLR0913, PLR0917
    source: str,
    name: str,
    recipe: str,
    store: str,
    run: str,
    revision: str,
    report: dsl.Output[dsl.HTML],
    force: bool = False,
) -> str:
    """Make the prepared model of ``revision`` a version of the store; returns its folder."""
    import shutil

    from pipeline.kubeflow import outcome
    from storage_init.format.package import REPORT_FILE

    with outcome.component(source, name, recipe, store, run, revision) as step:
        folder = step.preparation.publish(step.store, name, supersede=force)
        step.leave(outcome.RunOutcome("published", str(folder)))
        shutil.copyfile(folder / REPORT_FILE, report.path)
        shutil.rmtree(step.folder, ignore_errors=True)
    return str(folder)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rollout(name: str, store: str, run: str, service: str, version: str, canary: int) -> str:
    """Bring an InferenceService to the published version, or back to its old one."""
    from pathlib import Path

    from pipeline.kubeflow.outcome import roll_out

    return roll_out(name, Path(store), run, service, Path(version), canary)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finish(
    source: str,
    name: str,
    store: str,
    run: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Say how the run ended and, if it failed, why; runs whatever happened."""
    from pathlib import Path

    from pipeline.kubeflow.outcome import summarize
    from pipeline.kubeflow.run_folder import folder_of

    folder = folder_of(Path(store), run)
    text = summarize(source, name, folder, status.state, status.error_message or "")
    Path(summary.path).write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - the component's log

"""The steps as KFP components: parameters in, parameters out, files on the store's volume.

Each hands on the ``revision`` it worked on, which orders the steps. No ``from __future__ import
annotations`` here: KFP reads the annotations themselves.
"""

from kfp import dsl

from pipeline import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def snapshot(source: str, recipe: str, store: str, name: str, workspace: str) -> str:
    """Pin the source to a revision and fetch it, unless the store has it prepared already.

    Returns the revision fetched, or "published": KFP's local runner knows conditions on a
    component's only output alone.
    """
    from pathlib import Path

    from pipeline import recipe as recipes
    from pipeline.progress import component, step
    from pipeline.steps.snapshot import snapshot as take
    from pipeline.workspace import Workspace
    from storage_init import sources
    from storage_init.package import check_name
    from storage_init.store import Store

    with component(), step("snapshot") as outcome:
        check_name(name)
        parsed = recipes.from_json(recipe)
        resolved = sources.resolve(source)
        hit = Store(Path(store)).find(name, parsed.key(resolved))
        if hit is None:
            outcome.detail = take(resolved, Workspace(Path(workspace)), parsed)
        else:
            outcome.detail = f"already prepared: {hit}"
    return resolved.revision if hit is None else "published"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(recipe: str, workspace: str, revision: str) -> str:
    """PyTorch to ONNX, unless the source is ONNX already."""
    from pipeline.stages import run_component

    run_component("export", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def optimize(recipe: str, workspace: str, revision: str) -> str:
    """Encoder fusions; writes the fp32 variant."""
    from pipeline.stages import run_component

    run_component("optimize", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def quantize(recipe: str, workspace: str, revision: str) -> str:
    """Writes the int8 variant."""
    from pipeline.stages import run_component

    run_component("quantize", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(recipe: str, workspace: str, revision: str) -> str:
    """Every variant against the original model; the gates."""
    from pipeline.stages import run_component

    run_component("evaluate", workspace, recipe)
    return revision


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish(
    recipe: str,
    workspace: str,
    store: str,
    name: str,
    revision: str,  # noqa: ARG001 - orders the steps
) -> str:
    """Make the prepared model of ``revision`` a version of the store; returns its folder."""
    import shutil
    from pathlib import Path

    from pipeline import recipe as recipes
    from pipeline import stages
    from pipeline.progress import component
    from pipeline.workspace import Workspace
    from storage_init.store import Store

    with component():
        work = Workspace(Path(workspace))
        folder = stages.publish(work, recipes.from_json(recipe), Store(Path(store)), name)
        shutil.rmtree(work.root, ignore_errors=True)
    return str(folder)

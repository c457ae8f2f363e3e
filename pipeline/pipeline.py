"""The graph of a preparation: the same on a laptop and on a Kubeflow cluster.

The store's path is a parameter because KFP's local runner mounts nothing. No ``from __future__
import annotations`` here: KFP reads the annotations themselves.
"""

from kfp import dsl, kubernetes

from pipeline import IMAGE, components
from storage_init.signing import SIGN_VARIABLE

STORE_MOUNT = "/mnt/store"
STORE_PVC = "model-store"
KEY_MOUNT = "/etc/warmstart/signing"
KEY_FILE = "key.pem"


def build(
    image: str = IMAGE, network_retries: int = 3, sign_secret: str = ""
) -> dsl.base_component.BaseComponent:
    """The pipeline, its steps run in ``image``; the one that downloads is tried again.

    ``sign_secret``: a Kubernetes secret whose ``key.pem`` signs what is published; only the last
    step sees it.
    """

    def place(task: dsl.PipelineTask, pvc: str) -> None:
        task.set_container_image(image)
        kubernetes.mount_pvc(task, pvc_name=pvc, mount_path=STORE_MOUNT)
        # A step's result is on the volume, where KFP's cache does not look; the store's own does.
        task.set_caching_options(False)

    @dsl.pipeline(
        name="warmstart-prepare",
        description="Prepare a Hugging Face encoder model and publish it to a store.",
    )
    def prepare(
        source: str,
        name: str,
        recipe: str = "{}",
        store: str = STORE_MOUNT,
        workspace: str = f"{STORE_MOUNT}/.staging/{dsl.PIPELINE_JOB_ID_PLACEHOLDER}",
        pvc: str = STORE_PVC,
    ) -> None:
        """Prepare one model.

        Args:
            source: where it comes from: hf://owner/name[@revision] or file:///folder.
            name: what it is called in the store.
            recipe: the recipe as JSON; what it leaves out has its default.
            store: where the store's volume is mounted.
            workspace: a folder on the same volume for the steps' results.
            pvc: the persistent volume claim that holds the store.
        """
        taken = components.snapshot(
            source=source, recipe=recipe, store=store, name=name, workspace=workspace
        )
        place(taken, pvc)
        if network_retries:
            taken.set_retry(num_retries=network_retries, backoff_duration="10s", backoff_factor=2.0)
        with dsl.If(taken.output != "published", name="not-yet-prepared"):
            exported = components.export(recipe=recipe, workspace=workspace, revision=taken.output)
            optimized = components.optimize(
                recipe=recipe, workspace=workspace, revision=exported.output
            )
            quantized = components.quantize(
                recipe=recipe, workspace=workspace, revision=optimized.output
            )
            evaluated = components.evaluate(
                recipe=recipe, workspace=workspace, revision=quantized.output
            )
            published = components.publish(
                recipe=recipe,
                workspace=workspace,
                store=store,
                name=name,
                revision=evaluated.output,
            )
            for task in (exported, optimized, quantized, evaluated, published):
                place(task, pvc)
            if sign_secret:
                kubernetes.use_secret_as_volume(
                    published, secret_name=sign_secret, mount_path=KEY_MOUNT
                )
                published.set_env_variable(SIGN_VARIABLE, f"{KEY_MOUNT}/{KEY_FILE}")

    return prepare

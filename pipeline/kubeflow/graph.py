"""The graph of a preparation on Kubeflow, compiled to KFP's intermediate representation (IR).

The store's path is a parameter because KFP's local runner mounts nothing. No ``from __future__
import annotations`` here: KFP reads the annotations themselves.
"""

from dataclasses import dataclass
from pathlib import Path

from kfp import compiler, dsl, kubernetes

from pipeline import IMAGE
from pipeline.kubeflow import components
from storage_init.base.variables import RETRIES
from storage_init.format.signing import SIGN_VARIABLE

STORE_MOUNT = "/mnt/store"
STORE_PVC = "model-store"
KEY_MOUNT = "/etc/warmstart/signing"
KEY_FILE = "key.pem"
# KFP starts the first step again if its pod is lost; a failure of the network is tried again by the
# step itself, so often, with waits that double up to 30 s.
POD_RETRIES = 3
NETWORK_RETRIES = 8


@dataclass(frozen=True)
class Claim:
    """A volume claim that the run makes: its size, such as "20Gi", and its storage class."""

    size: str
    storage_class: str


@dataclass(frozen=True)
class SecretKey:
    """A key of a Kubernetes secret, by reference: its content is never in the pipeline."""

    secret: str
    key: str


@dataclass(frozen=True)
class Cluster:
    """What a pipeline fixes when it is compiled, because KFP has no parameters for it.

    ``image`` runs the steps. ``sub_path`` is the folder of the volume that holds the store, by
    default all of it. ``claim`` is made before anything else. ``sign_secret`` is a Kubernetes
    secret whose ``key.pem`` signs what is published; only the last step sees it. ``cpu_request``,
    ``cpu`` (a limit) and ``memory`` are for each step that converts or runs the model; five times
    its size and 1Gi are enough. ``environment`` and ``secrets`` are variables of the step that
    downloads; secrets are given by reference. ``roll_out`` adds a last step, which needs a service.
    """

    image: str = IMAGE
    sub_path: str = ""
    claim: Claim | None = None
    sign_secret: str = ""
    cpu_request: str = "500m"
    cpu: str = "2"
    memory: str = "8Gi"
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, SecretKey], ...] = ()
    roll_out: bool = False

    def place(
        self, task: dsl.PipelineTask, pvc: str, cpu: tuple[str, str], memory: str
    ) -> dsl.PipelineTask:
        """Run ``task`` in the image, on the volume, with (request, limit) of CPU, and memory."""
        task.set_container_image(self.image)
        kubernetes.mount_pvc(task, pvc, STORE_MOUNT, self.sub_path)
        # KFP's cache does not look at the volume, where a step's results are; the store does.
        task.set_caching_options(False)
        task.set_cpu_request(cpu[0]).set_cpu_limit(cpu[1])
        # Both are equal, because Kubernetes takes back memory above the request by killing.
        return task.set_memory_request(memory).set_memory_limit(memory)

    def let_download(self, task: dsl.PipelineTask) -> None:
        """Give the step that downloads its variables, and more patience with the network."""
        task.set_env_variable(RETRIES.name, str(NETWORK_RETRIES))
        task.set_retry(POD_RETRIES, backoff_duration="10s", backoff_factor=2.0)
        for variable, value in self.environment:
            task.set_env_variable(variable, value)
        for variable, at in self.secrets:
            kubernetes.use_secret_as_env(task, at.secret, {at.key: variable})


# Steps that hold no model (they copy, hash and ask), and the one that reports.
LIGHT_CPU, LIGHT_MEMORY = ("250m", "2"), "2Gi"
REPORT_CPU, REPORT_MEMORY = ("100m", "1"), "512Mi"


def build(cluster: Cluster | None = None) -> dsl.base_component.BaseComponent:
    """Build the pipeline for a cluster; KFP's local runner ignores what is the cluster's."""
    on = cluster or Cluster()

    @dsl.pipeline(
        name="warmstart-prepare",
        description="Prepare a Hugging Face encoder model and publish it to a store.",
    )
    def prepare(  # noqa: PLR0913, PLR0917 - each is a field of KFP's form
        source: str,
        name: str,
        recipe: str = "{}",
        force: bool = False,
        store: str = STORE_MOUNT,
        pvc: str = STORE_PVC,
        service: str = "",
        canary: int = 0,
    ) -> None:
        """Prepare one model.

        Args:
            source: where it comes from: hf://owner/name[@revision] or file:///folder.
            name: what it is called in the store.
            recipe: the recipe as JSON; what it leaves out has its default.
            force: prepare it even if the store has it from this source and recipe.
            store: where the store's volume is mounted.
            pvc: the persistent volume claim that holds the store.
            service: NAMESPACE/NAME of an InferenceService to bring to the version; none if empty.
            canary: the percentage of requests that the version gets first.
        """
        # KFP's cache is on for this task, so the claim is made once.
        claim = on.claim and kubernetes.CreatePVC(
            pvc_name=pvc,
            access_modes=["ReadWriteMany"],
            size=on.claim.size,
            storage_class_name=on.claim.storage_class,
        )
        # KFP fills this in only where it is the whole value of a task's input.
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        finished = components.finish(source=source, name=name, store=store, run=run)
        on.place(finished, pvc, REPORT_CPU, REPORT_MEMORY)
        with dsl.ExitHandler(finished, name="preparation"):
            every = {"source": source, "name": name, "recipe": recipe, "store": store, "run": run}
            taken = components.snapshot(**every, force=force)
            on.place(taken, pvc, LIGHT_CPU, LIGHT_MEMORY)
            on.let_download(taken)
            if claim is not None:
                taken.after(claim)
            with dsl.If(taken.output != "published", name="not-yet-prepared"):
                exported = components.export(**every, revision=taken.output)
                optimized = components.optimize(**every, revision=exported.output)
                quantized = components.quantize(**every, revision=optimized.output)
                evaluated = components.evaluate(**every, revision=quantized.output)
                published = components.publish(
                    **every, revision=evaluated.outputs["Output"], force=force
                )
                for task in (exported, optimized, quantized, evaluated):
                    on.place(task, pvc, (on.cpu_request, on.cpu), on.memory)
                on.place(published, pvc, LIGHT_CPU, LIGHT_MEMORY)
                if on.sign_secret:
                    kubernetes.use_secret_as_volume(published, on.sign_secret, KEY_MOUNT)
                    published.set_env_variable(SIGN_VARIABLE, f"{KEY_MOUNT}/{KEY_FILE}")
                if on.roll_out:
                    rolled = components.rollout(
                        name=name,
                        store=store,
                        run=run,
                        service=service,
                        version=published.outputs["Output"],
                        canary=canary,
                    )
                    on.place(rolled, pvc, REPORT_CPU, REPORT_MEMORY)

    return prepare


def compile_to(out: Path, cluster: Cluster) -> None:
    """Write the pipeline's two YAML documents: its IR, and its Kubernetes platform part.

    ``out`` ends in .yaml or .yml; its folder is created.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build(cluster), str(out))

"""What the suite must be told about a cluster: options of pytest, each also a variable."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PREFIX = "WARMSTART_TEST_"
HELP = {
    "predictor_image": "image of the target predictor, where the cluster's nodes find it",
    "storage_init_image": "image of the target storage-init",
    "baked_image": "image of the target baked, with a model named sentiment",
    "storage_class": "class of a ReadWriteMany volume for the store (default: the cluster's)",
    "host_path": "folder of the only node, or mounted on all, to keep stores in instead",
    "pipeline_image": "image of the target pipeline",
    "kfp_endpoint": "address of Kubeflow Pipelines' API, without which its tests are skipped",
    "kfp_namespace": "namespace in which Kubeflow runs the steps",
    "cpu_request": "CPUs that each predictor requests; its limits stay as they are",
    "gateway": "address of KServe's Gateway, to ask services through it",
    "measured_package": "folder of a prepared model to measure with (default: a tiny one)",
}
DEFAULTS = {
    "predictor_image": "warmstart/predictor:dev",
    "storage_init_image": "warmstart/storage-init:dev",
    "pipeline_image": "warmstart/pipeline:dev",
    "kfp_namespace": "kubeflow",
    "cpu_request": "100m",
}


@dataclass(frozen=True)
class Options:
    """The values of ``HELP``'s options; an empty one was not given."""

    predictor_image: str
    storage_init_image: str
    baked_image: str
    pipeline_image: str
    kfp_endpoint: str
    kfp_namespace: str
    storage_class: str
    host_path: str
    cpu_request: str
    gateway: str
    measured_package: str

    @property
    def images(self) -> dict[str, str]:
        """The image to take for each name in the manifests."""
        return {
            "warmstart/predictor": self.predictor_image,
            "warmstart/storage-init": self.storage_init_image,
            "warmstart/baked": self.baked_image,
        }


def add_options(parser: pytest.Parser) -> None:
    """Add an option for each field of ``Options``."""
    group = parser.getgroup("cluster", "a cluster with KServe, named by KUBECONFIG")
    for name, text in HELP.items():
        about = f"{text}; also {PREFIX}{name.upper()}"
        group.addoption(f"--{name.replace('_', '-')}", help=about)


def options_of(config: pytest.Config) -> Options:
    """Read the options, then the variables, then the defaults."""
    values = {}
    for field in fields(Options):
        given = config.getoption(field.name, default=None)
        variable = os.environ.get(f"{PREFIX}{field.name.upper()}", "")
        values[field.name] = given or variable or DEFAULTS.get(field.name, "")
    return Options(**values)

"""Compiling for a cluster: KFP's intermediate representation with the store's volume mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfp import compiler

from pipeline.kubeflow.graph import Cluster, build

if TYPE_CHECKING:
    from pathlib import Path


def compile_to(out: Path, cluster: Cluster) -> None:
    """Write the pipeline's two YAML documents, its IR and its Kubernetes platform part.

    ``out`` ends in .yaml.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build(cluster), str(out))

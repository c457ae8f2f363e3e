"""Compiling for a cluster: KFP's intermediate representation with the store's volume mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfp import compiler

from pipeline.pipeline import build

if TYPE_CHECKING:
    from pathlib import Path


def compile_to(out: Path, image: str, sign_secret: str = "") -> None:
    """Write the pipeline's two YAML documents, its IR and its Kubernetes platform part.

    Args:
        out: the file to write, ending in .yaml.
        image: runs the steps.
        sign_secret: a Kubernetes secret whose ``key.pem`` signs what is published.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build(image, sign_secret=sign_secret), str(out))

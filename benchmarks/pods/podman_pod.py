"""A cluster's pod in the form that podman takes.

Podman mounts no subfolder of a claim, makes no new emptyDir for each pod, and runs no probes. The
first two are done here as the kubelet does them; probes are left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.pods.kserve import Document, containers

# Without it podman removes an init container, and the times when it began and ended.
KEPT = {"io.podman.annotations.init.container.type": "always"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")


def adapt(
    pod: Document,
    name: str,
    images: Mapping[str, str],
    flags: Sequence[str],
    folder_of: Callable[[str], Path],
    *,
    host_network: bool,
) -> Document:
    """Make a pod for ``podman play kube``.

    Args:
        pod: as KServe would make it; it is not changed.
        name: of the new one.
        images: which image to take for another's name without its tag.
        flags: further flags of the pod's first container.
        folder_of: where a claim's volume is on this machine.
        host_network: whether it has the machine's own network.
    """
    pod = copy.deepcopy(pod)
    pod["metadata"] |= {"name": name, "annotations": KEPT}
    spec = pod["spec"]
    spec |= {"hostNetwork": host_network, "restartPolicy": "Never"}
    for container in containers(pod):
        repository, _, _ = container["image"].partition(":")
        container["image"] = images.get(repository, container["image"])
        container |= {"imagePullPolicy": "Never", "ports": []}
        for probe in PROBES:
            container.pop(probe, None)
    spec["containers"][0]["args"] += flags
    _mount_subfolders(spec, folder_of)
    # To podman an emptyDir is a volume, one for all pods: it gets a name of its own.
    renamed = {v["name"]: f"{name}-{v['name']}" for v in spec.get("volumes", []) if "emptyDir" in v}
    mounts = (mount for each in containers(pod) for mount in each.get("volumeMounts", []))
    for named in (*spec.get("volumes", []), *mounts):
        named["name"] = renamed.get(named["name"], named["name"])
    return pod


def _mount_subfolders(spec: Document, folder_of: Callable[[str], Path]) -> None:
    """Mount subfolders of claims as the kubelet does: where their links lead now."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in spec.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    for container in spec["containers"]:
        for mount in container.get("volumeMounts", []):
            if path := mount.pop("subPath", None):
                volume = f"{mount['name']}-{len(spec['volumes'])}"
                folder = (folder_of(claims[mount["name"]]) / path).resolve()
                spec["volumes"].append({"name": volume, "hostPath": {"path": str(folder)}})
                mount["name"] = volume

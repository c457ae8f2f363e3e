"""``python -m pipeline rollout``: bring a service to a version, or back to the old one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.flags import percent, service_name

if TYPE_CHECKING:
    import argparse

DEFAULT_STORE = Path("/mnt/store")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "rollout",
        help="point an InferenceService at a version of the store",
        description="Names a version in an InferenceService, waits until its pods are ready, "
        "replays the version's self-test through the Service, and promotes it or puts the old "
        "version back. Run the same command again if it was interrupted.",
    )
    parser.add_argument("name", help="the model's name in the store")
    parser.add_argument("--version", help="the version (default: the store's current one)")
    parser.add_argument(
        "--service",
        required=True,
        type=service_name,
        metavar="NAMESPACE/NAME",
        help="the InferenceService",
    )
    parser.add_argument(
        "--store", type=Path, default=DEFAULT_STORE, help="the store (default: %(default)s)"
    )
    parser.add_argument(
        "--canary",
        type=percent,
        default=0,
        metavar="PERCENT",
        help="first give the version this share of the requests; needs KServe's Gateway API",
    )
    parser.add_argument(
        "--soak",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a canary must hold (default: %(default)g)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long the pods may take to be ready (default: %(default)g)",
    )
    parser.add_argument("--context", help="the kubeconfig's context")
    parser.set_defaults(command=_rollout)


def _rollout(arguments: argparse.Namespace) -> None:
    from pipeline.rollout.rollout import Plan, Rollout
    from pipeline.rollout.service import Service
    from storage_init.store.layout import Store

    store = Store(arguments.store)
    version = store.complete(arguments.name, arguments.version)
    plan = Plan(
        name=arguments.name,
        version=store.resolve(arguments.name, version).name,
        canary=arguments.canary,
        soak=arguments.soak,
        timeout=arguments.timeout,
    )
    namespace, name = arguments.service
    service = Service(namespace, name, arguments.context)
    Rollout(service, store, plan, print).run()

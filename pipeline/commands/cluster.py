"""``python -m pipeline compile`` and ``submit``: prepare models on a Kubeflow cluster."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import IMAGE
from pipeline.commands.flags import percent, service_name
from pipeline.commands.request import add_choices, add_source, read_request
from pipeline.recipe.reading import read_text
from storage_init.base.errors import WarmstartError
from storage_init.base.sizes import table

if TYPE_CHECKING:
    from pipeline.kubeflow.graph import Cluster, SecretKey
    from pipeline.kubeflow.submit import Endpoint

ENDPOINT_VARIABLE = "WARMSTART_KFP_ENDPOINT"
TOKEN_VARIABLE = "WARMSTART_KFP_TOKEN"  # noqa: S105 - a variable's name
SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|CREDENTIAL")
SECRET_URL = re.compile(r"://[^/@]*:[^/@]*@")


class FlagError(WarmstartError):
    """Flags contradict each other, or name a file that cannot be read."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands and their flags."""
    compiled = commands.add_parser("compile", help="write the pipeline for a Kubeflow cluster")
    compiled.add_argument("--out", type=_yaml_path, required=True, help="the YAML file to write")
    compiled.add_argument(
        "--with-rollout",
        dest="rollout",
        action="store_true",
        help="add the step that brings the InferenceService of the parameter `service` to it",
    )
    _add_cluster(compiled)
    compiled.set_defaults(command=_compile)

    started = commands.add_parser("submit", help="start runs, or recurring runs, on a cluster")
    add_source(started)
    add_choices(started)
    flag, endpoint = started.add_argument, os.environ.get(ENDPOINT_VARIABLE) or None
    about = f"the address of Kubeflow Pipelines ({ENDPOINT_VARIABLE})"
    flag("--endpoint", default=endpoint, required=not endpoint, metavar="URL", help=about)
    flag("--token-file", type=Path, help=f"a file with the bearer token (or {TOKEN_VARIABLE})")
    flag("--namespace", help="the profile's namespace, in a multi-user installation")
    about = "KFP's experiment for the runs (default: %(default)s)"
    flag("--experiment", default="warmstart", help=about)
    flag("--pvc", help="the claim that holds the store, instead of model-store")
    about = "bring this InferenceService to each new version; for one model"
    flag("--rollout", type=service_name, metavar="NAMESPACE/NAME", help=about)
    about = "with --rollout: first give the version this share of the requests"
    flag("--canary", type=percent, default=0, metavar="PERCENT", help=about)
    flag = started.add_mutually_exclusive_group().add_argument
    flag("--wait", action="store_true", help="wait until the runs have ended")
    flag("--cron", metavar="WHEN", help='make a recurring run, such as "0 3 * * *"')
    _add_cluster(started)
    started.set_defaults(command=lambda arguments: _submit(started, arguments))


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument
    flag("--image", default=IMAGE, help="the image that runs the steps (default: %(default)s)")
    about = "the volume's folder that holds the store, if that is not the whole volume"
    flag("--sub-path", default="", metavar="FOLDER", help=about)
    about = "most CPUs for each step that loads the model (default: %(default)s)"
    flag("--cpu", default="2", help=about)
    about = "CPUs that a node must have free for such a step (default: %(default)s)"
    flag("--cpu-request", default="500m", help=about)
    flag("--memory", default="8Gi", help="memory for the same steps (default: %(default)s)")
    flag("--create-pvc", metavar="SIZE", help="make the claim first, of a size such as 20Gi")
    flag("--storage-class", help="for --create-pvc; a class that many nodes can mount")
    about = "a secret whose key.pem signs the models"
    flag("--sign-secret", default="", metavar="NAME", help=about)
    every: dict[str, Any] = {"action": "append", "default": []}
    about = "a variable of the step that downloads, such as HF_ENDPOINT or HTTPS_PROXY; repeatable"
    flag("--env", type=_variable, metavar="VARIABLE=VALUE", help=about, **every)
    about = "the same from a Kubernetes secret, such as HF_TOKEN=hub/token; repeatable"
    flag("--secret-env", type=_secret, metavar="VARIABLE=SECRET/KEY", help=about, **every)


def _cluster(arguments: argparse.Namespace) -> Cluster:
    from pipeline.kubeflow.graph import Claim, Cluster

    if bool(arguments.create_pvc) != bool(arguments.storage_class):
        raise FlagError("--create-pvc and --storage-class belong together: give both, or neither")
    size, storage_class = arguments.create_pvc, arguments.storage_class
    same = ("image", "sub_path", "sign_secret", "cpu_request", "cpu", "memory")
    chosen = {name: getattr(arguments, name) for name in same}
    return Cluster(
        claim=Claim(size, storage_class) if size else None,
        environment=tuple(arguments.env),
        secrets=tuple(arguments.secret_env),
        roll_out=bool(arguments.rollout),
        **chosen,
    )


def _compile(arguments: argparse.Namespace) -> None:
    from pipeline.kubeflow.graph import compile_to

    compile_to(arguments.out, _cluster(arguments))
    print(arguments.out)


def _submit(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    models = read_request(parser, arguments)
    if arguments.canary and not arguments.rollout:
        raise FlagError("--canary is for --rollout: name the InferenceService as well")
    if arguments.rollout and len(models) > 1:
        raise FlagError("--rollout is for one model: submit each model with its own service")
    cluster = _cluster(arguments)
    from pipeline.kubeflow.submit import SUCCEEDED, Kubeflow, cron_with_seconds

    cron = cron_with_seconds(arguments.cron) if arguments.cron else None
    parameters: dict[str, Any] = {"force": arguments.force}
    if arguments.pvc:
        parameters["pvc"] = arguments.pvc
    if arguments.rollout:
        parameters |= {"service": "/".join(arguments.rollout), "canary": arguments.canary}
    runs = (kubeflow := Kubeflow(_endpoint(arguments))).start(models, cluster, parameters, cron)
    for run in runs:
        print(run.address, flush=True)
    if not arguments.wait:
        return 0
    states = kubeflow.wait(runs)
    rows = [(run.model, states[run.model].lower(), run.address) for run in runs]
    print(table(("model", "state", "run"), rows, right=()), file=sys.stderr)
    return int(any(state != SUCCEEDED for state in states.values()))


def _endpoint(arguments: argparse.Namespace) -> Endpoint:
    from pipeline.kubeflow.submit import Endpoint

    token = os.environ.get(TOKEN_VARIABLE) or None
    if arguments.token_file:
        token = read_text(arguments.token_file, "the token", FlagError).strip()
    return Endpoint(arguments.endpoint, token, arguments.namespace, arguments.experiment)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not VARIABLE=VALUE")
    if SECRET_NAME.search(name) or SECRET_URL.search(value):
        raise argparse.ArgumentTypeError(
            f"{name} would show its secret in KFP's pages: use --secret-env {name}=SECRET/KEY"
        )
    return name, value


def _secret(text: str) -> tuple[str, SecretKey]:
    from pipeline.kubeflow.graph import SecretKey

    name, _, reference = text.partition("=")
    secret, _, key = reference.partition("/")
    if not (name and secret and key):
        raise argparse.ArgumentTypeError(f"{text!r} is not VARIABLE=SECRET/KEY")
    return name, SecretKey(secret, key)


def _yaml_path(text: str) -> Path:
    if not text.endswith((".yaml", ".yml")):
        raise argparse.ArgumentTypeError(f"{text} does not end in .yaml")
    return Path(text)

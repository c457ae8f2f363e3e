"""The predictor's settings: flags in KServe's spelling, each also a ``WARMSTART_*`` variable."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from storage_init.base.cpus import usable_cpus
from storage_init.base.variables import (
    FLAG,
    FOLDER,
    KEY_FILE,
    NUMBER,
    SECONDS,
    SHA256,
    TEXT,
    Kind,
    at_least,
)
from storage_init.running.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "WARMSTART_"
AUTO = "auto"
# What REST serves beside V2, health and metrics.
APIS = frozenset(("cohere", "openai", "repository", "rerank", "tei", "triton", "v1"))


def _one_worker(text: str) -> int:
    if text != "1":
        raise argparse.ArgumentTypeError(
            f"{text!r} processes are not supported: one uses all CPUs (--lanes), and several would "
            "divide its queue, its limits and its metrics. Scale with replicas"
        )
    return 1


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{16}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a version, which has 64 hex digits (16 in format 2)"
        )
    return text


def _apis(text: str) -> frozenset[str]:
    names = frozenset(filter(None, text.split(",")))
    if not names <= APIS:
        raise argparse.ArgumentTypeError(
            f"{text!r} names others than {', '.join(sorted(APIS))}, between commas"
        )
    return names


_VERSION = Kind("version", _version)
_APIS = Kind("names between commas", _apis)


def _setting(
    default: Any,
    text: str,
    kind: Kind[Any] = TEXT,
    choices: Sequence[str] = (),
    shown: str | None = None,
    kserve: str | None = None,
) -> Any:
    """A field of Settings.

    ``shown`` is the default in words, where it depends on the host; ``kserve`` is a variable of
    KServe's that is read if ours is not set and this one is not empty.
    """
    metadata = {"help": text, "type": kind, "choices": choices or None, "shown": shown}
    metadata["kserve"] = kserve
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of a predictor process; each field's help text documents it."""

    model_name: str = _setting(
        "model", "name of the model in URLs and requests; the manifests set the service's name"
    )
    model_dir: Path = _setting(
        Path("/mnt/models"), "folder of the prepared model, or of a plain ONNX export", FOLDER
    )
    model_version: str | None = _setting(
        None,
        "version to serve instead of the one that model_dir names; model_dir is a model's link "
        "`current`, or one of its versions, in a store",
        _VERSION,
        shown="the one that model_dir names",
    )
    models_dir: Path | None = _setting(
        None,
        "serve every model of this store, or of this folder of model folders, under its folder's "
        "name, instead of model_name and model_dir",
        FOLDER,
    )
    model_wait_seconds: float = _setting(
        0.0,
        "at the start, seconds to wait for a whole model in model_dir, such as one that a "
        "LocalModelCache is downloading; liveness must be asked for later",
        SECONDS,
    )
    http_port: int = _setting(8080, "port of REST, /metrics and /status", at_least(0))
    grpc_port: int = _setting(8081, "gRPC port", at_least(0))
    enable_grpc: bool = _setting(True, "serve gRPC as well as REST", FLAG)
    enable_docs_url: bool = _setting(
        False, "serve Swagger UI at /docs, with files of this server only", FLAG
    )
    apis: frozenset[str] = _setting(
        APIS,
        "interfaces to serve over REST beside V2: V1, model repository, Triton's extensions, and "
        "those of OpenAI's, Cohere's, rerank and text-embeddings-inference's clients",
        _APIS,
        shown=",".join(sorted(APIS)),
    )
    enable_latency_logging: bool = _setting(
        False, "log one line per inference request, with its times and without its texts", FLAG
    )
    variant: str = _setting(
        AUTO, "variant to serve; auto chooses the fastest measured one that runs on this host"
    )
    provider: str = _setting(
        AUTO,
        "ONNX Runtime's execution provider; auto chooses the one that each variant was made for",
        choices=(AUTO, *PROVIDERS),
    )
    verify: Literal["all", "served", "size"] = _setting(
        "served",
        "before serving, check the SHA-256 of all files or of served files, or only their sizes",
        choices=("all", "served", "size"),
    )
    verify_key: Path | None = _setting(
        None,
        "PEM file of a public key: serve only models signed with its private key, and no plain "
        "folder; needs the extra signing, and --verify=all or served",
        KEY_FILE,
    )
    verification_digest: str | None = _setting(
        None,
        "SHA-256 of the package.json of the only model to serve, whole; nothing is parsed before "
        "it and the digests that it lists hold",
        SHA256,
        kserve="VERIFICATION_DIGEST",
    )
    verification_mode: Literal["enforce", "warn"] = _setting(
        "enforce",
        "if the model does not have verification_digest: refuse it, or only log it",
        choices=("enforce", "warn"),
        kserve="VERIFICATION_MODE",
    )
    warmup_inferences: int = _setting(
        2,
        "inferences after the self-test and before the model is ready: a paragraph, four "
        "sentences, a sentence, a short text, and so on",
        at_least(0),
    )
    lanes: int = _setting(
        usable_cpus(),
        "inferences that run at the same time, each on as many CPUs as it has threads",
        at_least(1),
        shown="the container's CPUs",
    )
    threads: int = _setting(
        1, "threads of one inference; use more, and fewer lanes, for a single client", at_least(1)
    )
    threads_alone: int = _setting(
        0,
        "threads of an inference while the other lanes are idle; 0 takes the CPUs of all lanes, "
        "up to 4, where the second session needs no copy of the weights",
        at_least(0),
    )
    max_batch_tokens: int = _setting(
        256, "tokens of one inference, padding included; larger requests are split", at_least(1)
    )
    max_padding: int = _setting(
        4, "tokens by which texts that share an inference may differ in length", at_least(0)
    )
    max_body_bytes: int = _setting(
        8 * 1024 * 1024,
        "bytes of a request's body over REST or of a message over gRPC; larger ones are refused",
        at_least(1),
    )
    max_pending_bytes: int = _setting(
        64 * 1024 * 1024,
        "bytes of all requests in flight, over REST and gRPC; a request that exceeds them is "
        "refused",
        at_least(1),
    )
    max_request_texts: int = _setting(
        2048, "texts of one request; larger requests are refused", at_least(1)
    )
    max_request_tokens: int = _setting(
        1024 * 1024,
        "tokens of one request, with those of all windows of its long texts; larger requests are "
        "refused",
        at_least(1),
    )
    max_queue_texts: int = _setting(
        4096, "texts that may wait; a request that exceeds them is refused", at_least(1)
    )
    max_queue_tokens: int = _setting(
        1024 * 1024,
        "tokens of all requests in flight, estimated; a request that exceeds them is refused",
        at_least(1),
    )
    max_queue_seconds: float = _setting(
        5.0,
        "seconds that a request may be expected to wait; one that would wait longer is refused at "
        "once",
        SECONDS,
    )
    max_inference_seconds: float = _setting(
        120.0,
        "seconds that an inference may take; if one takes longer, the process is no longer live",
        SECONDS,
    )
    max_receive_seconds: float = _setting(
        30.0,
        "seconds that the head and the body of a REST request may take to arrive; a slower sender "
        "gets 408 and its connection is closed",
        SECONDS,
    )
    response_cache_bytes: int = _setting(
        0,
        "bytes of each model's answers to keep for whoever asks the same again; 0 keeps none",
        at_least(0),
    )
    drain_seconds: float = _setting(
        0.5,
        "after SIGTERM, seconds to serve as before but report not ready, while the cluster stops "
        "sending requests",
        SECONDS,
    )
    grace_seconds: float = _setting(
        25.0,
        "after SIGTERM, seconds in total until running requests are cut off; keep it below the "
        "pod's terminationGracePeriodSeconds",
        SECONDS,
    )
    referee: Literal["on", "off"] = _setting(
        "on",
        "let fp32 answer the texts whose label a reduced variant leaves unclear, if the package "
        "says which these are",
        choices=("on", "off"),
    )
    max_batch_move: float = _setting(
        0.01,
        "largest difference in probability or cosine distance that sharing an inference may make; "
        "a variant that exceeds it runs each text alone",
        NUMBER,
    )
    max_batch_flips: float = _setting(
        0.001, "the same limit for the share of labels that change", NUMBER
    )
    log_format: Literal["text", "json"] = _setting(
        "text", "format of log lines, one per event", choices=("text", "json")
    )
    log_level: str = _setting(
        "INFO", "least severe level logged", choices=("DEBUG", "INFO", "WARNING", "ERROR")
    )

    @property
    def is_enforcing(self) -> bool:
        """Whether a model must prove what it is before any of it is parsed."""
        enforced = self.verification_mode == "enforce" and self.verification_digest is not None
        return enforced or self.verify_key is not None

    @property
    def folder(self) -> Path:
        """The folder to serve: ``model_dir``, or ``model_version`` beside it in the store."""
        if not self.model_version:
            return self.model_dir
        parent = self.model_dir.parent
        of_model = parent.parent if parent.name == "versions" else parent
        return of_model / "versions" / self.model_version


def parse_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from flags, else the environment, else defaults; exit on a wrong value."""
    parser = argparse.ArgumentParser(
        prog="warmstart-serve",
        description="Serve a prepared model over the V2 and V1 inference protocols.",
        allow_abbrev=False,
    )
    for item in fields(Settings):
        variable = f"{PREFIX}{item.name.upper()}"
        default = item.default
        kserve = item.metadata["kserve"]
        if variable not in environ and environ.get(kserve or ""):
            variable = kserve
        if variable in environ:
            default = _from_environment(parser, variable, environ[variable], item.metadata)
        parser.add_argument(
            f"--{item.name}",
            type=item.metadata["type"],
            choices=item.metadata["choices"],
            default=default,
            help=f"{item.metadata['help']} (default: %(default)s; {variable})",
        )
    # KServe's flag, which manifests may set. The predictor has no such setting, but explains why.
    parser.add_argument("--workers", type=_one_worker, help=argparse.SUPPRESS)
    known = parser.parse_args(argv)
    del known.workers
    if known.verify_key and known.verify == "size":
        parser.error("--verify=size excludes --verify_key: a signature covers digests")
    if known.verification_digest and known.verify == "size":
        parser.error("--verify=size excludes --verification_digest: it covers digests")
    if known.verification_digest and known.models_dir:
        parser.error("--models_dir excludes --verification_digest, which is of one model")
    if known.model_version and known.models_dir:
        parser.error("--models_dir excludes --model_version: its models serve what is current")
    return Settings(**vars(known))


def _from_environment(
    parser: argparse.ArgumentParser, variable: str, text: str, metadata: Mapping[str, Any]
) -> Any:
    """The value of a variable, read as argparse reads a flag; errors name the variable."""
    choices = metadata["choices"]
    if choices and text not in choices:
        parser.error(f"{variable}={text}: choose from {', '.join(choices)}")
    try:
        return metadata["type"](text)
    except (argparse.ArgumentTypeError, ValueError) as error:
        return parser.error(f"{variable}={text}: {error}")

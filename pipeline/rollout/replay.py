"""Replays a version's self-test through a Service: the pods must answer as they were measured.

The texts are sent as token ids, because a model answers those with its graph's own output, which is
what the self-test holds. The predictor replays the same test before it is ready; this one also
covers the way to it: the Service, the proxies, and which version answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import requests

from storage_init.base.errors import WarmstartError
from storage_init.format.package import SELFTEST_FILE, TOKENIZER_FILE
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest, distances
from storage_init.format.tasks import FillMask, QuestionAnswering, TokenClassification
from storage_init.running.session import SPAN_OUTPUTS
from storage_init.running.tokenizer import Tokenizer, cut_of

if TYPE_CHECKING:
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

    from storage_init.format.package import Package
    from storage_init.format.tasks import Task

REQUEST_SECONDS = 30.0


class ReplayError(WarmstartError):
    """A Service does not answer, answers from another version, or answers something else."""


@dataclass(frozen=True)
class Replayed:
    """How many texts were asked, and the largest distance of an answer, in the self-test's unit."""

    texts: int
    distance: float


@dataclass(frozen=True)
class Address:
    """Where a model answers: ``base`` is the Service's URL, ``session`` may talk to it."""

    session: requests.Session
    base: str
    model: str

    @property
    def url(self) -> str:
        """The model's URL."""
        return f"{self.base}/v2/models/{self.model}"


def replay(address: Address, folder: Path) -> Replayed:
    """Ask a model every text of the self-test in ``folder``, a version's.

    Args:
        address: where the model answers.
        folder: the version's folder.

    Raises:
        ReplayError: says which text is answered wrongly and by how much, or what does not answer.
    """
    package, version = read_package(folder)
    selftest = SelfTest.load(folder / SELFTEST_FILE)
    tokenizer = Tokenizer(
        folder / TOKENIZER_FILE,
        package.limits.max_length,
        package.pad_token_id,
        cut_of(package.task),
    )
    rows = []
    for encoding in tokenizer.encode(selftest.texts, selftest.pairs):
        outputs = _ask(address, _inputs(package, encoding), version)
        rows.append(_rows(package.task, outputs, encoding.ids, tokenizer))
    far = distances(package.task, np.concatenate(rows).astype(np.float32), selftest.reference)
    worst = int(far.argmax())
    tolerance = max(variant.tolerance for variant in package.variants)
    # Not written as `>`, which would let NaN pass.
    if not far[worst] <= tolerance:
        raise ReplayError(
            f"{address.url} is {far[worst]:.4g} off the reference on text "
            f"{selftest.text_of(worst) + 1} of {len(selftest.texts)}, tolerance {tolerance:.4g}"
        )
    return Replayed(len(selftest.texts), float(far[worst]))


def served_version(address: Address) -> str | None:
    """Return the version that answers now; None if nothing does."""
    try:
        answer = address.session.get(address.url, timeout=REQUEST_SECONDS)
        versions = answer.json().get("versions") if answer.ok else None
    except (requests.RequestException, ValueError):
        return None
    return str(versions[0]) if versions else None


def _ask(address: Address, inputs: list[dict[str, Any]], version: str) -> dict[str, NDArray[Any]]:
    url = address.url
    # Binary, because the logits of a vocabulary are long as text.
    body = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    try:
        response = address.session.post(f"{url}/infer", json=body, timeout=REQUEST_SECONDS)
    except requests.RequestException as error:
        raise ReplayError(f"{url} does not answer: {error}") from error
    if not response.ok:
        raise ReplayError(f"{url} answers {response.status_code}: {response.text[:500]}")
    header = int(response.headers["Inference-Header-Content-Length"])
    answer = json.loads(response.content[:header])
    if answer.get("model_version") != version:
        raise ReplayError(
            f"{url} answers from version {answer.get('model_version')}, not from {version}"
        )
    return _tensors(answer["outputs"], response.content[header:])


def _tensors(outputs: list[dict[str, Any]], raw: bytes) -> dict[str, NDArray[Any]]:
    """Outputs in V2's binary form: little-endian floats, one tensor after the other."""
    found, start = {}, 0
    for output in outputs:
        end = start + int(output["parameters"]["binary_data_size"])
        found[output["name"]] = np.frombuffer(raw[start:end], "<f4").reshape(output["shape"])
        start = end
    return found


def _inputs(package: Package, encoding: tokenizers.Encoding) -> list[dict[str, Any]]:
    values = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    return [
        {"name": name, "datatype": "INT64", "shape": [1, len(data)], "data": data}
        for name in (tensor.name for tensor in package.inputs)
        if (data := values.get(name)) is not None
    ]


def _rows(
    task: Task, outputs: dict[str, NDArray[Any]], ids: list[int], tokenizer: Tokenizer
) -> NDArray[Any]:
    """The rows [R, D] of one text as its self-test has them."""
    if isinstance(task, QuestionAnswering):
        return np.stack([outputs[name][0] for name in SPAN_OUTPUTS], axis=-1)
    (values,) = outputs.values()
    if isinstance(task, TokenClassification):
        return np.asarray(values[0])
    if isinstance(task, FillMask):
        mask = tokenizer.model.token_to_id(task.mask_token)
        return np.asarray(values[0][np.flatnonzero(np.array(ids) == mask)])
    return values

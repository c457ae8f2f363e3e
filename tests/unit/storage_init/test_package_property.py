"""Any package is read back as it was written; no bytes give anything but a package or an error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storage_init.base.errors import PackageError
from storage_init.format import package as packages
from storage_init.format.package import (
    BatchSensitivity,
    Closeness,
    FileEntry,
    Limits,
    Package,
    Packed,
    Requires,
    Source,
    Speed,
    Tensor,
    TextClassification,
    TextEmbedding,
    Variant,
)
from tests.unit.storage_init.fakes import entries, fake_package

VALID = fake_package(entries())
CONTENT = packages.encode(VALID)

Document = dict[str, Any]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON document."""
    inner: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


PLACES = places(json.loads(CONTENT))[1:]


@st.composite
def mutated_documents(draw: st.DrawFn) -> bytes:
    """The valid document with a few values replaced or removed."""
    document = json.loads(CONTENT)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        target = document
        try:
            for key in path[:-1]:
                target = target[key]
            if draw(st.booleans()):
                target[path[-1]] = draw(JSON)
            else:
                del target[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return json.dumps(document).encode()


@st.composite
def spliced_bytes(draw: st.DrawFn) -> bytes:
    """The valid bytes with a stretch of them replaced by others."""
    start = draw(st.integers(0, len(CONTENT)))
    end = draw(st.integers(start, min(start + 40, len(CONTENT))))
    return CONTENT[:start] + draw(st.binary(max_size=20)) + CONTENT[end:]


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=200)
    | JSON.map(json.dumps).map(str.encode)
    | mutated_documents()
    | spliced_bytes()
)
def test_whatever_the_bytes_decoding_gives_a_package_or_a_package_error(content: bytes) -> None:
    try:
        decoded = packages.decode(content)
    except PackageError:
        return
    assert isinstance(decoded, Package)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
TEXTS = st.text(max_size=10)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SHARES = st.floats(0, 1)
POSITIVE = st.floats(0, 1e9, exclude_min=True)
COUNTS = st.integers(0, 2**53)
OPTIONAL = st.none() | NUMBERS
TENSORS = st.lists(
    st.builds(
        Tensor,
        name=TEXTS,
        datatype=st.sampled_from(["INT64", "INT32", "FP32", "FP16"]),
        shape=st.lists(st.integers(-1, 2**31), max_size=3),
    ),
    min_size=1,
    max_size=2,
)
REQUIRES = st.builds(
    Requires,
    cpu_any_of=st.lists(TEXTS, max_size=2),
    cpu_exactly=st.lists(TEXTS, max_size=2),
    onnxruntime=st.none() | TEXTS,
)
TASKS = st.builds(
    TextClassification,
    labels=st.lists(TEXTS, min_size=1, max_size=3),
    activation=st.sampled_from(["softmax", "sigmoid", "none"]),
) | st.builds(
    TextEmbedding,
    dimension=st.integers(1, 2**20),
    pooling=st.sampled_from(["mean", "cls", "max"]),
    normalize=st.booleans(),
)


@st.composite
def valid_packages(draw: st.DrawFn) -> Package:
    variants = [
        Variant(
            name=name,
            graph=f"{name}/model.onnx",
            requires=draw(REQUIRES),
            closeness=draw(
                st.builds(
                    Closeness,
                    texts=COUNTS,
                    worst_cosine=OPTIONAL,
                    worst_logit_difference=OPTIONAL,
                    worst_probability_difference=OPTIONAL,
                    label_agreement=st.none() | SHARES,
                )
            ),
            batch_sensitivity=draw(
                st.builds(BatchSensitivity, largest_move=NUMBERS, flipped_labels=SHARES)
            ),
            speed=draw(
                st.builds(
                    Speed,
                    cpu=TEXTS,
                    alone_ms=POSITIVE,
                    batched_ms=POSITIVE,
                    batch=st.integers(1, 64),
                )
            ),
            tolerance=draw(POSITIVE),
            packed=draw(
                st.none()
                | st.builds(Packed, graph=st.just(f"{name}/packed.onnx"), requires=REQUIRES)
            ),
        )
        for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    ]
    packed = [variant.packed.graph for variant in variants if variant.packed]
    graphs = [*packed, *(variant.graph for variant in variants)]
    paths = {"tokenizer.json", "selftest.npz", *graphs, *draw(st.sets(NAMES))}
    return Package(
        name=draw(NAMES),
        key=draw(DIGESTS),
        task=draw(TASKS),
        source=draw(st.builds(Source, uri=TEXTS, revision=TEXTS, license=st.none() | TEXTS)),
        recipe_digest=draw(DIGESTS),
        tools=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        limits=Limits(max_length=draw(st.integers(4, 2**20))),
        pad_token_id=draw(COUNTS),
        inputs=draw(TENSORS),
        outputs=draw(TENSORS),
        variants=variants,
        files=[
            FileEntry(path=path, size=draw(COUNTS), sha256=draw(DIGESTS)) for path in sorted(paths)
        ],
    )


@settings(max_examples=100, deadline=None)
@given(valid_packages())
def test_any_package_is_read_back_equal_and_written_again_byte_for_byte(package: Package) -> None:
    content = packages.encode(package)
    decoded = packages.decode(content)
    assert decoded == package
    assert packages.encode(decoded) == content

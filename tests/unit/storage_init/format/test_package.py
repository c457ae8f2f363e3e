"""Reading and writing ``package.json``: a round trip, and refusal of everything malformed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from storage_init.base.errors import PackageError, VerificationError
from storage_init.format import codec, reading
from storage_init.format.package import MAX_PACKAGE_BYTES, FileEntry, Packed, Requires
from storage_init.format.tasks import TextEmbedding
from tests.unit.storage_init.fakes import entries, fake_package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALID = fake_package(entries())
CONTENT = codec.encode(VALID)

Document = dict[str, Any]


def changed(change: Callable[[Document], object]) -> bytes:
    """Return the valid package's JSON after a change."""
    document = json.loads(CONTENT)
    change(document)
    return json.dumps(document).encode()


def refusal(content: bytes) -> str:
    with pytest.raises(PackageError) as caught:
        codec.decode(content, "/models/m/package.json")
    return str(caught.value)


def test_a_default_prompt_must_be_one_of_the_prompts() -> None:
    embedder = {"name": "text-embedding", "dimension": 8, "pooling": "mean", "normalize": True}
    prompted = {**embedder, "prompts": {"query": "query: "}}
    task = codec.decode(changed(lambda d: d.update(task=prompted))).task
    assert isinstance(task, TextEmbedding)
    assert task.prompts == {"query": "query: "}
    message = refusal(changed(lambda d: d.update(task={**prompted, "default_prompt": "other"})))
    assert "there is no prompt other" in message


def test_canonical_bytes_survive_a_round_trip_and_another_order_of_a_mapping() -> None:
    assert codec.decode(CONTENT) == VALID
    other = msgspec.structs.replace(VALID, tools=dict(reversed(VALID.tools.items())))
    assert codec.encode(other) == CONTENT
    assert CONTENT.endswith(b"}\n")


def test_the_canonical_bytes_of_format_version_3_stay_as_they_are() -> None:
    # A published version is named by these bytes: if they change, so must FORMAT_VERSION.
    assert codec.version_of(CONTENT) == hashlib.sha256(CONTENT).hexdigest()
    assert codec.version_of(CONTENT).startswith("46906e0671543d5e")


def test_another_format_version_is_refused_with_both_versions() -> None:
    message = refusal(b'{"format_version": 4, "a field of the future": {}}')
    assert (
        "/models/m/package.json has format version 4; this build reads versions 2 and 3" in message
    )


def test_a_feature_that_this_reader_lacks_is_refused_by_name() -> None:
    message = refusal(changed(lambda d: d.update(reader_features=["sparse-weights"])))
    assert "package.json needs a reader with 'sparse-weights', which this build does not" in message


def test_unknown_fields_are_ignored_anywhere() -> None:
    def add(document: Document) -> None:
        for place in (document, document["source"], document["task"], document["variants"][0]):
            place["surprise"] = {"a": 1}

    assert codec.decode(changed(add)) == VALID


@pytest.mark.parametrize("version", [b"{}", b'{"format_version": "1"}', b'{"format_version": 1.0}'])
def test_a_package_without_a_proper_format_version_is_refused(version: bytes) -> None:
    assert "format_version" in refusal(version)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.update(annotations={"a": 1}), "$.annotations[...]"),
        (lambda d: d.pop("limits"), "limits"),
        (lambda d: d["limits"].update(max_length="9"), "$.limits.max_length"),
        (lambda d: d["limits"].update(max_length=3), "$.limits.max_length"),
        (lambda d: d.update(pad_token_id=-1), "$.pad_token_id"),
        (lambda d: d["files"][0].update(size=1.5), "$.files[0].size"),
        (lambda d: d["files"][0].update(sha256="B" * 64), "$.files[0].sha256"),
        (lambda d: d["files"][0].update(sha256="b" * 64 + "\n"), "$.files[0].sha256"),
        (lambda d: d["task"].update(name="text-generation"), "text-generation"),
        (lambda d: d["task"].update(labels=[]), "$.task.labels"),
        (lambda d: d["variants"][0].update(tolerance=0), "$.variants[0].tolerance"),
        (lambda d: d.update(variants=[]), "$.variants"),
        (lambda d: d.update(name="../m"), "$.name"),
        (lambda d: d.update(name="m\n"), "$.name"),
    ],
)
def test_a_document_outside_the_schema_is_refused_with_the_field(
    change: Callable[[Document], object], named: str
) -> None:
    message = refusal(changed(change))
    assert message.startswith("/models/m/package.json is not a valid package description: ")
    assert named in message


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "../x", "a/../x", "a/..", "./x", "/x", "a//b", "a/", "a/./b"),
        *("x\n", "x\r", "a\\b", "..\\x", "C:x", "x\0", ".hidden", "-rf", "a b", "ä", "x" * 256),
    ],
)
def test_a_path_that_could_leave_the_package_is_refused(path: str) -> None:
    extra = {"path": path, "size": 1, "sha256": "b" * 64}
    assert "$.files[7].path" in refusal(changed(lambda d: d["files"].append(extra)))
    assert "$.variants[0].graph" in refusal(changed(lambda d: d["variants"][0].update(graph=path)))


@pytest.mark.parametrize("path", ["tokenizer.json", "selftest.npz", "int8/model.onnx"])
def test_a_package_that_does_not_list_a_file_it_needs_is_refused(path: str) -> None:
    def drop(document: Document) -> None:
        document["files"] = [entry for entry in document["files"] if entry["path"] != path]

    assert f"{path} is needed but not listed" in refusal(changed(drop))


def test_a_packed_graph_must_be_listed_and_is_served_with_its_variant() -> None:
    int8 = VALID.variants[1]
    packed = Packed(graph="int8/packed.onnx", requires=Requires(cpu_exactly=["avx2"]))
    variants = [VALID.variants[0], msgspec.structs.replace(int8, packed=packed)]
    with pytest.raises(ValueError, match=r"int8/packed\.onnx is needed but not listed"):
        msgspec.structs.replace(VALID, variants=variants)
    entry = FileEntry(path="int8/packed.onnx", size=1, sha256="b" * 64)
    package = msgspec.structs.replace(VALID, variants=variants, files=[*VALID.files, entry])
    assert entry in package.served_files(package.variants[1])
    assert entry not in package.served_files(package.variants[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["files"].append(d["files"][0]), "a file is listed twice"),
        (lambda d: d["variants"].append(d["variants"][0]), "a variant is listed twice"),
        *(
            (lambda d, path=path: d["files"].append({**d["files"][0], "path": path}), path)
            for path in ("package.json", "SHA256SUMS", "package.sig", "measurements.json")
        ),
    ],
)
def test_a_package_cannot_list_a_file_twice_or_its_own_description(
    change: Callable[[Document], object], problem: str
) -> None:
    assert problem in refusal(changed(change))


def test_a_variant_is_served_from_its_graph_without_files_of_other_variants() -> None:
    fp32, int8 = VALID.variants
    served = {entry.path for entry in VALID.served_files(fp32)}
    assert served == {"fp32/model.onnx", "fp32/model.onnx.data", "tokenizer.json", "selftest.npz"}
    shared = msgspec.structs.replace(fp32, name="bf16-openvino", precision="bf16")
    package = msgspec.structs.replace(VALID, variants=[fp32, int8, shared])
    assert package.served_files(shared) == VALID.served_files(fp32)


@pytest.mark.parametrize("name", ["package.json", "SHA256SUMS"])
def test_a_missing_or_huge_description_is_refused_without_reading_it(
    published: Path, name: str
) -> None:
    (published / name).unlink()
    with pytest.raises(PackageError, match=f"/{name} cannot be read: No such file"):
        reading.read_package(published)
    assert reading.is_package(published)
    with (published / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PackageError, match=f"/{name} is larger than {MAX_PACKAGE_BYTES}"):
        reading.read_package(published)


def test_a_description_of_the_largest_size_is_read(tmp_path: Path) -> None:
    content = CONTENT + b" " * (MAX_PACKAGE_BYTES - len(CONTENT))
    (tmp_path / "package.json").write_bytes(content)
    (tmp_path / "SHA256SUMS").write_bytes(codec.sums(VALID, content))
    assert reading.read_package(tmp_path)[0] == VALID


@pytest.mark.parametrize("name", ["package.json", "SHA256SUMS"])
@pytest.mark.parametrize("offset", [0, 17, -1])
def test_a_flipped_byte_in_the_description_is_found(
    published: Path, name: str, offset: int
) -> None:
    content = bytearray((published / name).read_bytes())
    content[offset] ^= 1
    (published / name).unlink()
    (published / name).write_bytes(content)
    with pytest.raises(
        VerificationError,
        match=r"(in SHA256SUMS|SHA256SUMS does not list the digests of .*)$",
    ):
        reading.read_package(published)


def test_several_threads_can_read_their_first_package_at_once() -> None:
    code = """
import sys, threading
from storage_init.format import codec
content, ready, read = sys.stdin.buffer.read(), threading.Barrier(8), []
def run():
    ready.wait()
    read.append(codec.decode(content))
threads = [threading.Thread(target=run) for _ in range(8)]
sys.setswitchinterval(1e-6)
for each in threads: each.start()
for each in threads: each.join()
print(len(read))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=CONTENT, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"8\n"), done.stderr

"""Names in a source's listing that become paths."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage_init.base.errors import SourceError
from storage_init.base.uris import check_names, check_no_clash, name_problem, shown

WHERE = "s3://bucket/model"
ANY = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["..", ".", "", "a", ".fetch", "~", "\\", "\0"]), max_size=5).map(
        "/".join
    ),
)


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "1_Pooling/config.json", "a/b/c/d", ".gitattributes", "..a", "a..b"),
        *("héé.json", "模型.onnx", "with space.json", "a/.fetch/b", "~", "-rf", "a:b"),
    ],
)
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "has no name"),
        ("/etc/passwd", "absolute path"),
        *((name, r"'\.\.' folder") for name in ("../a", "a/../b", "a//b", "a/", "./a")),
        ("a\\b", "backslash"),
        *((f"a{character}b", "cannot be printed") for character in "\0\n\u202e\ud800"),
        *((name, "keeps for itself") for name in (".fetch/x", ".incoming")),
        *((name, "too long") for name in ("a" * 256, "é" * 128, "/".join(["abc"] * 300))),
    ],
)
def test_an_unsafe_name_is_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as caught:
        check_names(["config.json", name], WHERE)
    assert str(caught.value).startswith(f"{WHERE} is refused: its file {name!r} ")


@given(ANY)
def test_an_accepted_name_stays_below_its_folder(name: str) -> None:
    if name_problem(name):
        return
    joined = os.path.normpath(os.path.join("/base/folder", name))  # noqa: PTH118
    assert joined == f"/base/folder/{name}"
    assert PurePosixPath("/base/folder", name).parts[:3] == ("/", "base", "folder")
    assert len(PurePosixPath(name).parts) == name.count("/") + 1
    name.encode()


def test_a_name_listed_twice_is_refused() -> None:
    with pytest.raises(SourceError, match="'a' is listed twice"):
        check_names(["a", "b", "a"], WHERE)


def test_a_file_that_is_a_folder_of_another_is_refused() -> None:
    check_no_clash(["a/b", "a/c", "ab"], WHERE)
    with pytest.raises(SourceError, match="'a/b' is both a file and a folder"):
        check_no_clash(["a/b/c/d", "a/b"], WHERE)


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("https://user:secret@host/a.zip?sig=secret#sha256=ab", "https://host/a.zip#sha256=ab"),
        ("https://user:sec/ret@host/a.zip", "https://host/a.zip"),
        ("HTTPS://secret@host/a.zip#token=secret", "HTTPS://host/a.zip"),
        ("ftp://user:secret@host/a", "ftp://host/a"),
        ("warm://user:secret@host", "warm://host"),
        ("user:secret@host/a", "host/a"),
    ],
)
def test_a_uri_is_shown_without_secrets(uri: str, safe: str) -> None:
    assert shown(uri) == safe


@pytest.mark.parametrize(
    "uri",
    [
        *("hf://owner/name@main", "hf://owner/name:main", "s3://bucket/a@b", "file:///a@b:c"),
        *("warm://name@0123", "https://host:8080/a@b", "https://[::1]:80/a@b", "pvc://claim/a"),
    ],
)
def test_a_uri_without_secrets_is_shown_as_it_is(uri: str) -> None:
    assert shown(uri) == uri

"""The cache of tokenizers that models share."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from predictor.engine.tokenizer_cache import TokenizerCache
from predictor.loading.load import load
from predictor.settings import Settings
from storage_init.base.errors import PackageError
from storage_init.format.package import TOKENIZER_FILE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(prepared_classifier: Path) -> Path:
    return prepared_classifier / TOKENIZER_FILE


def test_files_of_the_same_content_share_a_tokenizer(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    cache = TokenizerCache()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: cache.open(each, 16, 0), [path, copy] * 4))
    assert {id(tokenizer) for tokenizer in found} == {id(found[0])}


def test_other_limits_have_their_own_tokenizer(path: Path) -> None:
    cache = TokenizerCache()
    short, long = cache.open(path, 4, 0), cache.open(path, 16, 0)
    text = "the film was good and the book was bad"
    assert len(short.encode([text])[0]) == 4 < len(long.encode([text])[0])
    assert cache.open(path, 16, 3).pad_token_id == 3
    assert cache.open(path, 16, 0, "only_second") is not long


def test_a_changed_file_is_parsed_again(path: Path, tmp_path: Path) -> None:
    file = tmp_path / TOKENIZER_FILE
    file.write_bytes(path.read_bytes())
    cache = TokenizerCache()
    first = cache.open(file, 16, 0)
    file.write_bytes(path.read_bytes() + b"\n")
    assert cache.open(file, 16, 0) is not first


def test_models_that_are_loaded_share_a_tokenizer(prepared_classifier: Path) -> None:
    settings, cache = Settings(model_dir=prepared_classifier), TokenizerCache()
    first, second = (load(settings, None, cache).engine.tokenizer for _ in range(2))
    assert first is second


def test_a_tokenizer_that_no_model_uses_is_freed(path: Path) -> None:
    cache = TokenizerCache()
    tokenizer = weakref.ref(cache.open(path, 16, 0))
    gc.collect()
    assert tokenizer() is None


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_missing_or_broken_file_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / TOKENIZER_FILE
    if content:
        file.write_text(content)
    with pytest.raises(PackageError, match=f"{file} is not a fast tokenizer"):
        TokenizerCache().open(file, 16, 0)

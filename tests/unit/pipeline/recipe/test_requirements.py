"""The variants that a host cannot make, and recipes that require them."""

from __future__ import annotations

import pytest

from pipeline.recipe.errors import RecipeError
from pipeline.recipe.recipe import Bf16Openvino, Recipe
from pipeline.recipe.requirements import check_required, impossible
from storage_init.base import cpus
from storage_init.running import providers
from storage_init.running.providers import CPU, OPENVINO

WANTED = Recipe(variants=("fp32", "bf16-openvino"))
OPTIONAL = Recipe(variants=("fp32", "bf16-openvino"), bf16_openvino=Bf16Openvino(required=False))


def set_host(monkeypatch: pytest.MonkeyPatch, feature: str, plugin: str | None) -> None:
    """Make a host with one CPU feature, whose OpenVINO plugin is missing for a reason or there."""
    answer = providers.unavailable
    monkeypatch.setattr(cpus, "cpu_features", lambda: frozenset([feature]))
    monkeypatch.setattr(providers, "unavailable", lambda p: plugin if p == OPENVINO else answer(p))


def test_a_cpu_without_bfloat16_cannot_make_it_whatever_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_host(monkeypatch, "avx512f", None)
    assert impossible(OPTIONAL) == {
        "bf16-openvino": "this CPU has none of avx512_bf16, amx_bf16",
    }


def test_a_host_without_the_plugin_fails_only_where_the_variant_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_host(monkeypatch, "amx_bf16", "not installed")
    assert impossible(OPTIONAL) == impossible(WANTED) == {"bf16-openvino": "not installed"}
    check_required(OPTIONAL)
    check_required(Recipe())
    with pytest.raises(RecipeError, match=r"^bf16-openvino cannot be made here: not installed\. "):
        check_required(WANTED)


def test_a_host_with_both_can_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_host(monkeypatch, "amx_bf16", None)
    assert impossible(WANTED) == {}
    check_required(WANTED)


def test_the_default_recipe_needs_no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(providers, "unavailable", asked.append)
    check_required(Recipe())
    assert asked == []
    assert impossible(Recipe()) == {}
    assert set(asked) == {CPU}

"""The variants that a host cannot make, and recipes that require them."""

from __future__ import annotations

import pytest

from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import Bf16Openvino, Recipe
from pipeline.recipe.requirements import check_required, impossible
from storage_init.base import cpus
from storage_init.running import providers
from storage_init.running.providers import OPENVINO

WANTED = Recipe(variants=("fp32", "bf16-openvino"))
OPTIONAL = Recipe(variants=("fp32", "bf16-openvino"), bf16_openvino=Bf16Openvino(required=False))


def set_host(monkeypatch: pytest.MonkeyPatch, feature: str, plugin: str | None) -> None:
    """Make a host with one CPU feature, whose OpenVINO plugin is missing for a reason or there."""
    answer = providers.unavailable
    monkeypatch.setattr(cpus, "cpu_features", lambda: frozenset([feature]))
    monkeypatch.setattr(providers, "unavailable", lambda p: plugin if p == OPENVINO else answer(p))


@pytest.mark.parametrize(
    ("feature", "plugin", "why"),
    [
        ("avx512f", None, "this CPU has none of avx512_bf16, amx_bf16"),
        ("amx_bf16", "not installed", "not installed"),
        ("amx_bf16", None, None),
    ],
)
def test_a_host_that_cannot_make_a_variant_fails_only_where_it_is_required(
    feature: str, plugin: str | None, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_host(monkeypatch, feature, plugin)
    assert impossible(OPTIONAL) == impossible(WANTED) == ({"bf16-openvino": why} if why else {})
    check_required(OPTIONAL)
    check_required(Recipe())
    if why is None:
        check_required(WANTED)
        return
    with pytest.raises(RecipeError, match=f"^bf16-openvino cannot be made here: {why}. "):
        check_required(WANTED)

"""Which variants a host can make, and what is required of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.errors import RecipeError
from pipeline.recipe.recipe import Bf16Openvino, Recipe
from pipeline.recipe.requirements import check_required, impossible
from storage_init.running import host, providers
from storage_init.running.providers import CPU, OPENVINO

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED = Recipe(variants=("fp32", "bf16-openvino"))
OPTIONAL = Recipe(variants=("fp32", "bf16-openvino"), bf16_openvino=Bf16Openvino(required=False))


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "cpu_features", lambda: frozenset(["amx_bf16"]))


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Have the plugin be missing for a reason, or there."""

    def offer(why: str | None) -> None:
        answer = providers.unavailable
        monkeypatch.setattr(providers, "unavailable", lambda p: why if p == OPENVINO else answer(p))

    return offer


def test_a_cpu_without_bfloat16_cannot_whatever_is_installed(
    monkeypatch: pytest.MonkeyPatch, offers: Callable[[str | None], None]
) -> None:
    monkeypatch.setattr(host, "cpu_features", lambda: frozenset(["avx512f"]))
    offers(None)
    assert impossible(OPTIONAL) == {
        "bf16-openvino": "this CPU has none of avx512_bf16, amx_bf16",
    }


@pytest.mark.usefixtures("with_bf16")
def test_a_host_without_the_plugin_fails_only_where_the_variant_is_required(
    offers: Callable[[str | None], None],
) -> None:
    offers("not installed")
    assert impossible(OPTIONAL) == impossible(WANTED) == {"bf16-openvino": "not installed"}
    check_required(OPTIONAL)
    check_required(Recipe())
    with pytest.raises(RecipeError, match=r"^bf16-openvino cannot be made here: not installed\. "):
        check_required(WANTED)


@pytest.mark.usefixtures("with_bf16")
def test_a_host_that_has_everything_can(offers: Callable[[str | None], None]) -> None:
    offers(None)
    assert impossible(WANTED) == {}
    check_required(WANTED)


def test_the_usual_recipe_asks_for_no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(providers, "unavailable", asked.append)
    check_required(Recipe())
    assert asked == []
    assert impossible(Recipe()) == {}
    assert set(asked) == {CPU}

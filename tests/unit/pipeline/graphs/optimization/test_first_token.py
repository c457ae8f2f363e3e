"""Computing the last layer for one token gives the same answer where nothing else reads it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization.first_token import compute_first_token_only
from tests.unit.pipeline.encoders import operators, parse, run, write

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

WIDTH, INNER = 16, 24
# A layer normalises its sums, as BERT's does, or before its products, as PreLayerNorm's does.
PARTS = """
    o{n} = MatMul (a{n}, wo)
    p{n} = Add (o{n}, bo)
    t{n} = Add ({sum})
    h{n} = LayerNormalization (t{n}, gamma, beta)
    u{n} = MatMul (h{n}, wu)
    v{n} = Add (u{n}, bu)
    g{n} = com.microsoft.Gelu (v{n})
    d{n} = MatMul (g{n}, wd)
    e{n} = Add (bo, d{n})
"""
LAYER = f"""
    a{{n}} = com.microsoft.Attention <num_heads = 4> ({{x}}, wa, ba, mask)
    {PARTS}
    r{{n}} = Add (e{{n}}, h{{n}})
    s{{n}} = LayerNormalization (r{{n}}, gamma, beta)
"""
BEFORE = f"""
    n{{n}} = LayerNormalization ({{x}}, gamma, beta)
    a{{n}} = com.microsoft.Attention <num_heads = 4> (n{{n}}, wa, ba, mask)
    {PARTS}
    s{{n}} = Add (t{{n}}, e{{n}})
"""
SHAPES = {
    "wa": (WIDTH, 3 * WIDTH),
    "ba": (3 * WIDTH,),
    "wo": (WIDTH, WIDTH),
    "bo": (WIDTH,),
    "wu": (WIDTH, INNER),
    "bu": (INNER,),
    "wd": (INNER, WIDTH),
    "gamma": (WIDTH,),
    "beta": (WIDTH,),
}

VECTOR = "float[N, M] y"


def model(
    tail: str,
    outputs: str = VECTOR,
    *,
    layers: int = 2,
    layer: str = LAYER,
    skip_first: bool = False,
) -> onnx.ModelProto:
    """Some layers; ``skip_first`` swaps the inputs of each sum, as some exports do."""
    body = ""
    for n in range(1, layers + 1):
        x = f"s{n - 1}" if n > 1 else "x"
        pair = (x, f"p{n}") if skip_first else (f"p{n}", x)
        body += layer.format(n=n, x=x, sum=", ".join(pair))
    random = np.random.default_rng(8)
    return parse(
        f"""
        <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        encoder (float[N, L, {WIDTH}] x, int32[N, L] mask) => ({outputs}) {{
            {body}
            zero = Constant <value = int64 {{0}}> ()
            one = Constant <value = int64 {{1}}> ()
            {tail}
        }}
        """,
        {
            name: random.normal(scale=0.4, size=shape).astype(np.float32)
            for name, shape in SHAPES.items()
        },
    )


@pytest.mark.parametrize("layer", [LAYER, BEFORE])
@pytest.mark.parametrize("skip_first", [False, True])
def test_the_answer_is_the_same_with_one_query(
    skip_first: bool, layer: str, tmp_path: Path
) -> None:
    tail = "y = Gather <axis = 1> (s2, zero)"
    made = model(tail, layer=layer, skip_first=skip_first)
    x = np.random.default_rng(9).normal(size=(3, 7, WIDTH)).astype(np.float32)
    mask = np.array([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6], dtype=np.int32)
    wanted = run(write(tmp_path / "full", made), {"x": x, "mask": mask})
    editor = GraphEditor(made)
    assert compute_first_token_only(editor)
    editor.finish()
    answer = run(write(tmp_path / "first", made), {"x": x, "mask": mask})
    np.testing.assert_allclose(answer, wanted, atol=1e-5)
    names = operators(made)
    assert (names.count("Attention"), names.count("MultiHeadAttention")) == (1, 1)
    assert (names.count("LayerNormalization"), names.count("Gelu")) == (4, 2), "nothing twice"


@pytest.mark.parametrize(
    ("tail", "outputs"),
    [
        ("y = Gather <axis = 1> (s2, one)", VECTOR),
        ("y = Gather <axis = 0> (s2, zero)", "float[L, M] y"),
        ("y = ReduceMean <keepdims = 0> (s2, one)", VECTOR),
        # The states are an output, too, or another node reads them.
        ("y = Gather <axis = 1> (s2, zero)", "float[N, M] y, float[N, L, M] s2"),
        ("y = Gather <axis = 1> (s2, zero) z = Abs (s2)", "float[N, M] y, float[N, L, M] z"),
        ("y = Gather <axis = 1> (h2, zero) z = Abs (s2)", "float[N, M] y, float[N, L, M] z"),
        # There is no attention on the way.
        ("e = Exp (s2) y = Gather <axis = 1> (e, zero)", VECTOR),
    ],
)
def test_an_answer_of_more_than_the_first_token_is_left_alone(tail: str, outputs: str) -> None:
    made = model(tail, outputs)
    before = copy.deepcopy(made)
    assert not compute_first_token_only(GraphEditor(made))
    assert made == before


@pytest.mark.parametrize("layer", [LAYER, BEFORE])
@pytest.mark.parametrize("fused", [True, False])
def test_a_deep_model_is_searched_in_steps_of_its_nodes(fused: bool, layer: str) -> None:
    # Each layer has two ways to the one before it: all of them together would take for ever.
    layer = layer if fused else layer.replace("com.microsoft.Attention <num_heads = 4>", "Abs")
    made = model("y = Gather <axis = 1> (s60, zero)", layers=60, layer=layer)
    assert compute_first_token_only(GraphEditor(made)) == fused

"""``python -m benchmarks.bare``: a plan on stdin, an outcome on stdout.

A session's time includes the import of ONNX Runtime, so each kind of plan imports what it needs.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bare.plan import LoadOutcome, LoadPlan, LoopOutcome, LoopPlan, SessionPlan
from benchmarks.harness.plans import serve_child


def run(plan: LoopPlan | SessionPlan | LoadPlan) -> object:
    """Run one plan and return its outcome."""
    if isinstance(plan, SessionPlan):
        from benchmarks.bare.session import time_session

        return time_session(plan)
    return _loop(plan) if isinstance(plan, LoopPlan) else _load(plan)


def _loop(plan: LoopPlan) -> LoopOutcome:
    from benchmarks.bare.loop import Loop
    from benchmarks.bare.session import choose_graph, open_bare
    from storage_init.format.package import TOKENIZER_FILE
    from storage_init.running.tokenizer import Tokenizer

    package, choice = choose_graph(plan.folder, plan.variant)
    file, length = Path(plan.folder) / TOKENIZER_FILE, package.limits.max_length
    tokenizer = Tokenizer(file, length, package.pad_token_id)
    return Loop(plan, open_bare(plan.folder, choice, plan.lanes), tokenizer).run()


def _load(plan: LoadPlan) -> LoadOutcome:
    """Load as the predictor does, but check sizes only."""
    from predictor import process

    process.tune()
    from predictor.loading.load import load
    from predictor.settings import Settings

    settings = Settings(model_dir=Path(plan.folder), variant=plan.variant, verify="size")
    return LoadOutcome(load(settings).phases.seconds)


if __name__ == "__main__":
    serve_child(LoopPlan | SessionPlan | LoadPlan, run)

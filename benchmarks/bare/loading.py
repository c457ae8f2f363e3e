"""The predictor's ``load()`` alone: a plan on stdin, the seconds of its phases on stdout."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Load once, sizes checked only; what is imported before is not counted."""
    from predictor import process

    process.tune()
    import msgspec

    from benchmarks.bare.plan import LoadOutcome, LoadPlan
    from predictor.loading.load import load
    from predictor.settings import Settings

    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=LoadPlan)
    settings = Settings(model_dir=Path(plan.folder), variant=plan.variant, verify="size")
    outcome = LoadOutcome(load(settings).phases.seconds)
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()

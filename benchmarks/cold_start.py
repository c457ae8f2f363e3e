"""``python -m benchmarks.cold_start``: the cold-start part, or with ``--target`` starts of pods."""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    """Run the program that the command line means."""
    if any(argument.partition("=")[0] == "--target" for argument in argv):
        from benchmarks.pods.command import main as start_pods

        return start_pods(argv)
    from benchmarks.__main__ import main as run_parts

    return run_parts(argv, "cold_start")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What is shown of KFP's output."""

from __future__ import annotations

import io

from pipeline.commands.console import Console
from pipeline.commands.display import Plain
from pipeline.preparation.progress import Finished


def console(text: str) -> tuple[Console, str]:
    """A console that got ``text`` in pieces, and what it passed on."""
    progress = io.StringIO()
    filtered = Console(Plain(progress))
    for start in range(0, len(text), 7):
        filtered.write(text[start : start + 7])
    return filtered, progress.getvalue()


def test_the_console_passes_the_steps_own_lines_on_and_nothing_else() -> None:
    _, shown = console(
        "12:00 - INFO - Executing task 'export'\n"
        "    ▸ [2/6] export   …\n"
        "TracerWarning: noise\n"
        "    ✓ [2/6] export      1.2 s   12.3 MB  opset 18\n"
    )
    assert shown == "▸ [2/6] export   …\n✓ [2/6] export      1.2 s   12.3 MB  opset 18\n"


def test_the_console_keeps_the_failure_for_the_error_and_everything_for_the_transcript() -> None:
    filtered, shown = console(
        "noise\n▸ [2/6] export   …\n✗ [2/6] export   no tokenizer\nTraceback\n"
    )
    assert filtered.failure == "[2/6] export   no tokenizer"
    assert "✗" not in shown
    assert filtered.transcript.splitlines()[0] == "noise"
    assert filtered.transcript.splitlines()[-1] == "Traceback"


def test_the_console_knows_what_each_step_took() -> None:
    filtered, _ = console("✓ [2/6] export      1.2 s   12.3 MB  opset 18\n✓ already prepared\n")
    assert filtered.steps == [Finished("export", "1.2", "12.3 MB", "opset 18")]

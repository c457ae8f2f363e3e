"""In CI a skipped test fails the run, unless its reason is one of ``ALLOWED``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

# A part of a skip's reason, and why a run may go without the test.
ALLOWED = {
    "WARMSTART_CRDS names no folder": "the CRDs come from the internet: docs/deploy.md",
    "cannot mount file systems here": "CI's machine may not allow it; it needs root",
    "mounting needs root": "the same",
    "this machine lets nobody mount file systems": "the same",
    "a mount namespace of one's own needs root": "the same",
    "NFS in user-mode Linux needs": "it boots a Linux of its own, from Debian's packages, as root",
    "no memory limits (cgroups) can be made here": "CI's machine may not allow them",
    "only root may start processes of other users": "it needs root",
    "skopeo is not installed": "a second judge of the OCI layout, where Debian's package is",
    "no emulator of arm64 is registered": "CI's machine may not allow it; it needs root",
    "is not for arm64": "an emulated build takes most of an hour",
    "could not import 'onnxruntime_ep_openvino'": "there is a plugin for x86 only",
}


class SkipReport:
    """Lists skipped tests with their reasons, and fails a run in CI that skips others."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._strict = environ.get("CI", "").lower() in ("1", "true")
        self._unexpected: list[str] = []
        self._expected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that skips itself."""
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        line = f"{report.nodeid}: {reason.removeprefix('Skipped: ')}"
        why = next((why for part, why in ALLOWED.items() if part in reason), None)
        if why is None:
            self._unexpected.append(line)
        else:
            self._expected.append(f"{line} ({why})")

    # After pytest-xdist, whose controller would set its own status.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run of CI with skips that are not allowed."""
        if self._strict and self._unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print every skip."""
        if not self._strict:
            return
        for line in self._expected:
            terminalreporter.write_line(f"skipped, as it may be: {line}")
        for line in self._unexpected:
            terminalreporter.write_line(f"SKIPPED, which fails this run: {line}", red=True)

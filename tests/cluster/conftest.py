"""A cluster with KServe, and a namespace of its own for each test.

``make test-cluster`` runs the suite against the cluster that KUBECONFIG names; options say where
the images and the store's volumes are. A test that needs more than the cluster has is skipped, and
listed with its reason at the end.
"""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.recipe import Recipe
from storage_init.format.package import SELFTEST_FILE
from storage_init.format.reading import read_package
from storage_init.format.selftest import SelfTest
from tests.support.cluster.cluster import Cluster, connect
from tests.support.cluster.options import add_options, options_of
from tests.support.cluster.rollout import local_store
from tests.support.cluster.space import Space, space, sweep, wait_until_removed
from tests.support.cluster.store import ModelStore, keeper, model_store
from tests.support.models.packages import write_description
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storage_init.store.layout import Store


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say where images and volumes are."""
    add_options(parser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was measured, and what this cluster could not take."""
    for report in terminalreporter.stats.get("passed", []):
        for what, figure in report.user_properties if "tests/cluster/" in report.nodeid else ():
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {what} {figure}")
    skipped = [
        (report.nodeid, report.longrepr[2].removeprefix("Skipped: "))
        for report in terminalreporter.stats.get("skipped", [])
        if "tests/cluster/" in report.nodeid and isinstance(report.longrepr, tuple)
    ]
    if skipped:
        terminalreporter.section("not run on this cluster")
    for name, reason in skipped:
        terminalreporter.write_line(f"{name.rpartition('::')[2]}: {reason}")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note a figure for the report at the end, in seconds or another unit."""

    def note(what: str, figure: float, unit: str = "s") -> None:
        request.node.user_properties.append((what, f"{figure:.1f} {unit}"))

    return note


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The cluster; what the suite made there is gone when the run ends, however it ends."""
    connected = connect(options_of(pytestconfig))
    before = signal.signal(signal.SIGTERM, _interrupt)
    sweep(connected)
    try:
        yield connected
    finally:
        wait_until_removed(connected)
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def store_keeper(cluster: Cluster) -> Iterator[Space | None]:
    """The pod that makes folders for stores, where the stores are folders of a node."""
    with keeper(cluster) as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Space]:
    """A namespace that enforces `restricted`, or the pod security standard that a test names."""
    with space(cluster, getattr(request, "param", "restricted")) as made:
        yield made


@pytest.fixture
def store(namespace: Space, store_keeper: Space | None) -> Iterator[ModelStore]:
    """An empty store in the namespace."""
    with model_store(namespace, store_keeper) as made:
        yield made


@pytest.fixture(scope="session")
def package(classifier: Path) -> Path:
    """A prepared model with the service's name."""
    return prepared(classifier, "sentiment")


@pytest.fixture(scope="session")
def newer(classifier: Path) -> Path:
    """Another version of the package."""
    return prepared(classifier, "sentiment", Recipe(variants=("fp32",)))


@pytest.fixture(scope="session")
def failing(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that does not answer as its self-test says."""
    folder = tmp_path_factory.mktemp("failing") / "version"
    shutil.copytree(newer, folder)
    test = SelfTest.load(folder / SELFTEST_FILE)
    SelfTest(test.texts, -test.reference - 1, test.rows, test.pairs).save(folder / SELFTEST_FILE)
    package, _ = read_package(folder)
    write_description(folder, package, key="f" * 64)
    return folder


@pytest.fixture
def local(package: Path, newer: Path, failing: Path, tmp_path: Path) -> Store:
    """The cluster's store on this machine: the same packages have the same versions."""
    return local_store(tmp_path / "store", newer, failing, package)

"""The one stack that all end-to-end tests share, in the order of the modules' numbers."""

from collections.abc import Iterator

import pytest

from tests.e2e import containers, raw
from tests.e2e.stack import Stack, free_port_base

TAIL = 4_000
"""Characters of a log that are shown with a failure."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A stack with topics, tables and the five jobs, all empty; afterwards nothing of it is left."""
    if in_containers(pytestconfig):
        yield from containers.started(tmp_path_factory)
        return
    given = pytestconfig.getoption("--stack-home")
    home = given or tmp_path_factory.mktemp("stack") / "a-folder-of-its-own" / "deep-enough-that-no-socket-path-fits-into-it" / "home"
    stack = Stack(home, free_port_base())
    if given and home.exists():
        raw.begin_anew()
        yield stack
        return
    try:
        stack.tradelake("up", "--port-base", stack.port_base)
        stack.tradelake("topics", "create")
        stack.tradelake("tables", "create")
        stack.tradelake("submit")
        yield stack
    finally:
        if not given:
            stack.tradelake("down", "--purge")
    assert given or (stack.processes(), home.exists()) == ([], False)


def in_containers(config: pytest.Config) -> bool:
    return str(config.getoption("stack")) == "containers"


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    if not in_containers(config):
        return []
    found = "containers of docker-compose.yml" if containers.engine_answers() else f"{containers.NO_ENGINE}: what needs one is skipped"
    return [f"stack: {found}; what {containers.NO_PROCESSES} is skipped"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test: some start processes of their own."""
    if in_containers(item.config) and item.get_closest_marker("processes_only"):
        pytest.skip(containers.NO_PROCESSES)


@pytest.fixture
def pipeline(stack: Stack) -> Stack:
    """The stack, with all jobs running."""
    assert stack.running() == sorted(stack.job_names), "an earlier test left the pipeline broken"
    return stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack is not None:
        report.sections += [(f"end of {name}", text[-TAIL:]) for name, text in stack.logs().items()]
    return report

"""The one stack that all end-to-end tests share, in the order of the modules' numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import raw
from tests.e2e.stack import Stack, free_port_base

TAIL = 4_000
"""Characters of a log that are shown with a failure."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """A stack with topics, tables and the five jobs, all empty; afterwards nothing of it is left."""
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
        report.sections += [(f"end of {log.name}", tail(log)) for log in sorted((stack.home / "logs").glob("*.log"))]
    return report


def tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-TAIL:]

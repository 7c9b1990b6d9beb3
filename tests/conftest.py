"""For all tests: the recordings, the order of the run, and no skip that is not agreed on."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.truth.recordings import Recordings

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT.parent / "shared" / "captures"
SAMPLE = ROOT / "tradelake" / "produce" / "sample"
AGREED_SKIPS = pytest.StashKey[list["Agreed"]]()
OTHER_SKIPS = pytest.StashKey[list[tuple[str, str]]]()


@dataclass(frozen=True)
class Agreed:
    """A test that may be skipped, and why; where an option of the run is named, only with that, and `test` is a pattern of ids."""

    test: str
    reason: str
    option: str = ""

    def fits(self, test: str, reason: str, option: Callable[[str], object]) -> bool:
        """Whether it is this skip. `option`: the value of an option of this run."""
        if not self.option:
            return (test, reason) == (self.test, self.reason)
        name, _, value = self.option.partition("=")
        return option(name) == value and reason == self.reason and fnmatchcase(test, self.test)


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of the real recordings, which lies beside the repository where it is there at all."""
    if not CAPTURES.is_dir():
        pytest.skip("../shared/captures is not there")
    return CAPTURES


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    """The real recordings, or the sample that ships with the project where they are absent; with their exact counts."""
    if not CAPTURES.is_dir():
        return Recordings.sample(SAMPLE)
    return Recordings(
        binance=tuple(sorted((CAPTURES / "binance").glob("*.ndjson.gz"))),
        kraken=tuple(sorted((CAPTURES / "kraken").glob("*.ndjson"))),
        counts={"binance": 26_010, "kraken": 38},
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    stacks = ("processes", "containers")
    parser.addoption("--stack", choices=stacks, default=stacks[0], help="end-to-end tests run on plain processes, or on docker-compose.yml")
    parser.addoption("--stack-home", type=Path, help="end-to-end tests work on this home, and leave it, instead of one of their own")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A script that starts the run in the background has it, and all that it starts, not hear Ctrl-C; some tests press it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    agreed = yaml.safe_load(Path(__file__).with_name("skips.yaml").read_text(encoding="utf-8")) or []
    config.stash[AGREED_SKIPS] = [Agreed(**skip) for skip in agreed]
    config.stash[OTHER_SKIPS] = []
    if config.getoption("stack") == "containers" and config.getoption("stack_home"):
        raise pytest.UsageError("--stack-home is for --stack=processes: containers have a home of their own")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no servers goes first."""
    items.sort(key=lambda item: "/e2e/" in item.path.as_posix())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    report = yield
    note_skip(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):  # type: ignore[no-untyped-def]
    report = yield
    note_skip(collector.config, report)
    return report


def note_skip(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
    skip = (report.nodeid.removeprefix("tests/"), reason)
    if not any(agreed.fits(*skip, config.getoption) for agreed in config.stash[AGREED_SKIPS]):
        config.stash[OTHER_SKIPS].append(skip)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[OTHER_SKIPS] and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for test, reason in config.stash[OTHER_SKIPS]:
        terminalreporter.line(f"FAILED: {test} was skipped ({reason}), and tests/skips.yaml does not agree", red=True)

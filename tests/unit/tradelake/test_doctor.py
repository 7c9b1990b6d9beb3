"""`tradelake doctor`: each problem comes with its fix."""

import socket
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from tradelake import doctor
from tradelake.cli import tradelake
from tradelake.doctor import Check, Problem
from tradelake.home import Home
from tradelake.stack.ports import NAMES, Ports, write_ports


def broken(_home: Home) -> str:
    raise Problem("it is broken", "mend it")


def run(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> Result:
    monkeypatch.setattr(doctor, "CHECKS", checks)
    return CliRunner().invoke(tradelake, ["doctor"])


def test_a_sound_machine_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Check("thing", lambda home: "works"))
    assert (result.exit_code, result.output) == (0, "OK      thing: works\n")


def test_a_problem_is_shown_with_its_fix_and_the_rest_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Check("first", broken), Check("second", lambda home: "works"))
    assert result.exit_code == 1
    assert result.output == "problem first: it is broken\n        fix: mend it\nOK      second: works\n"


def test_text_of_others_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_home: Home) -> str:
        raise Problem("[/red] is broken", "mend [bold]it")

    result = run(monkeypatch, Check("first", refuse), Check("second", lambda home: "at /srv/[red]x[/]/[/]"))
    assert result.output == "problem first: [/red] is broken\n        fix: mend [bold]it\nOK      second: at /srv/[red]x[/]/[/]\n"


def test_the_bundled_java_runs(tmp_path: Path) -> None:
    assert 'openjdk version "21.' in doctor.java(Home(tmp_path))


def test_too_old_a_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 99),))
    with pytest.raises(Problem) as problem:
        doctor.python(Home(tmp_path))
    assert "install Python 3.11 or 3.12" in problem.value.fix


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        write_ports(tmp_path, Ports(number - NAMES.index("s3")))
        with pytest.raises(Problem, match=f"port {number} \\(s3\\) is in use"):
            doctor.ports(Home(tmp_path))


def test_little_memory_and_disk_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_memory", lambda: 10**9)
    monkeypatch.setattr(doctor, "free_disk", lambda folder: 10**9)
    with pytest.raises(Problem, match=r"1\.0 GB free, the stack needs 4\.0 GB"):
        doctor.memory(Home(tmp_path))
    with pytest.raises(Problem, match=r"1\.0 GB free at .*, 2\.0 GB are needed"):
        doctor.disk(Home(tmp_path))


def test_a_home_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="file cannot be written: Not a directory"):
        doctor.writable(Home(tmp_path / "file" / "home"))


def test_missing_jars_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_CACHE", str(tmp_path))
    with pytest.raises(Problem, match=r"^(\d+) of \1 missing or damaged \(0\.5 GB to download\)$"):
        doctor.jars(Home(tmp_path))


def test_a_repository_out_of_reach_is_named_without_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(*arguments: object) -> Path:
        raise requests.ConnectionError("HTTPSConnectionPool(host='jars.example.com')")

    monkeypatch.setattr(doctor, "fetch_with_jgo", out_of_reach)
    with pytest.raises(Problem, match=r"^no connection to the repository$"):
        doctor.jar_repository(Home(tmp_path))


def test_an_index_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "which", lambda name: "false")
    with pytest.raises(Problem, match=r"^the package index does not answer$"):
        doctor.package_index(Home(tmp_path))

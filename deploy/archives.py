"""`make dist`: the archives with which a Flink cluster that has never heard of tradelake runs its jobs.

`jobs.zip` is for `-pyfs`: our packages with their SQL, settings and schemas. `python.zip` is for `-pyarch`, `-pyexec` and `-pyclientexec`:
an interpreter with the packages that the jobs import, usable in any folder. `jars.txt` names the jars that belong into the cluster itself.
"""

import csv
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tradelake.console import output, step
from tradelake.jar_placement import CLUSTER_PLACES
from tradelake.jars import load_lock

ROOT = Path(__file__).parents[1]
PACKAGES = ("conf", "flink_jobs", "sql", "udfs")
JARS_OF_THE_CLUSTER = "apache-flink-libraries"
"""What PyFlink's own package brings for a machine without Flink: the whole of Flink, which a cluster has."""

EPOCH = (1980, 1, 1, 0, 0, 0)
NOT_OF_THE_JOBS = shutil.ignore_patterns(
    *(
        "site-packages",
        "dist-packages",
        "__pycache__",
        "EXTERNALLY-MANAGED",
        "config-*",
        "test",
        "tests",
        "ensurepip",
        "idlelib",
        "lib2to3",
    ),
    *("pydoc_data", "tkinter", "turtledemo", "_tkinter*", "_curses*", "readline*", "_dbm*", "_gdbm*", "nis.*", "_test*", "_xxtest*"),
)
"""Parts of Python's standard library that need a screen, a terminal, a compiler or the network's directory."""
GLIBC = re.compile(r"(ld-linux.*|linux-vdso|lib(c|m|dl|pthread|rt|util|resolv|anl))\.so\b")
"""What must be the machine's own: these belong to its kernel's loader, and to each other."""

LAUNCHER = """\
#!/bin/sh
# The Python of this folder, wherever it was unpacked. It sees no package of the machine's or of its user's.
bin=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
unset PYTHONHOME
export PYTHONNOUSERSITE=1 LD_LIBRARY_PATH="${{bin%/bin}}/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "$bin/{name}" "$@"
"""


def pack(folder: Path, files: Iterable[Path], archive: Path) -> None:
    """A zip of these files, by their paths below `folder`: the same bytes for the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(files):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = (0o100755 if file.stat().st_mode & 0o100 else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, file.read_bytes())


def pack_jobs(archive: Path) -> None:
    """Our packages, wherever they are installed."""
    with TemporaryDirectory() as temporary:
        for name in PACKAGES:
            shutil.copytree(_folder(name), Path(temporary, name), ignore=shutil.ignore_patterns("__pycache__"))
        pack(Path(temporary), _files(Path(temporary)), archive)


def pack_python(archive: Path, uv: str) -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "python")
        copy_interpreter(folder)
        install(folder, uv)
        # Python compiles for every unpacked folder anew what comes without byte code; a zip keeps no time of change to compare with.
        compiling = [
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            str(folder),
            str(folder),
        ]  # Debian's packages are not below lib/
        subprocess.run([str(folder / "bin" / "python"), *compiling], check=True)
        pack(folder, _files(folder), archive)


def copy_interpreter(folder: Path) -> None:
    """This program's Python with its standard library and the shared libraries that it needs, started by `bin/python`."""
    base, name = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = folder / Path(sysconfig.get_path("stdlib")).relative_to(base)
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=NOT_OF_THE_JOBS)
    (folder / "bin").mkdir()
    interpreter = folder / "bin" / name
    shutil.copy2(base / "bin" / name, interpreter)
    for needed in {found for file in (interpreter, *library.rglob("*.so")) for found in shared_libraries(file)}:
        shutil.copy2(needed, folder / "lib" / needed.name)
    launcher = interpreter.with_name("python")
    launcher.write_text(LAUNCHER.format(name=name), encoding="utf-8")
    launcher.chmod(0o755)


def shared_libraries(file: Path) -> Iterator[Path]:
    """The shared libraries that a program or library loads, but for the C library's own."""
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listed, re.MULTILINE):
        if not GLIBC.match(name):
            yield Path(path)


def install(folder: Path, uv: str) -> None:
    """The packages of the jobs, each checked against its hash in requirements.lock."""
    where = subprocess.run(
        [folder / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = Path(where.stdout.strip())
    wanted = folder / "requirements.txt"
    wanted.write_text(locked((ROOT / "requirements.lock").read_text(encoding="utf-8"), names_of_the_jobs()), encoding="utf-8")
    # By this program's Python, of which the copy is one, without the header files that a package which comes as source is built with.
    command = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", sys.executable, "--target", str(packages)]
    subprocess.run([*command, "--build-constraints", str(ROOT / "build-constraints.txt"), "--requirements", str(wanted)], check=True)
    shutil.rmtree(packages / "bin", ignore_errors=True)  # programs, which would be started by a Python of this very folder
    for tests in [found for found in packages.rglob("tests") if found.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)  # it may have gone with another
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.unlink()  # it may be a link to uv's cache
        record.write_text("".join(line for line in lines if (packages / next(csv.reader([line]))[0]).exists()), encoding="utf-8")


def names_of_the_jobs() -> set[str]:
    """The group `jobs` of pyproject.toml and all that it needs on this machine."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["jobs"]
    todo, done = [Requirement(line) for line in listed], set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if name != JARS_OF_THE_CLUSTER and (name, extra) not in done:
                done.add((name, extra))
                needs = map(Requirement, metadata.requires(name) or ())
                todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in done}


def locked(lock: str, names: set[str]) -> str:
    """The entries of these packages in a lock file, versions and hashes as they stand there."""
    entries = re.split(r"\n(?=\S)", lock)
    return "".join(f"{entry}\n" for entry in entries if canonicalize_name(re.split("[=[]", entry)[0]) in names)


def list_jars(file: Path) -> None:
    """The jars' coordinates, and what `sha256sum -c` checks in the folder of the cluster's Flink."""
    lines = [
        f"# {artifact.coordinate}\n{artifact.sha256}  {place}/{artifact.filename}\n"
        for name, place in CLUSTER_PLACES.items()
        for artifact in load_lock().sets[name]
    ]
    file.write_text("".join(lines), encoding="utf-8")


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


@click.command(help=__doc__)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "dist", show_default=True, help="Where they go.")
@click.option("--uv", default="uv", show_default=True, help="The uv that installs the packages.")
def archives(into: Path, uv: str) -> None:
    into.mkdir(parents=True, exist_ok=True)
    with step("jobs.zip: our packages"):
        pack_jobs(into / "jobs.zip")
    with step("python.zip: an interpreter and what the jobs import"):
        pack_python(into / "python.zip", uv)
    list_jars(into / "jars.txt")
    for name in ("jobs.zip", "python.zip", "jars.txt"):
        output.print(f"{into / name}  {(into / name).stat().st_size:,} bytes", soft_wrap=True, markup=False)


if __name__ == "__main__":
    archives()

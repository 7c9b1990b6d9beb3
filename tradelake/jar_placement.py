"""Where the checked jars are used from: the registry's unpacked archive, PyFlink's `lib/`, and a plugins folder of our own."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tradelake.console import Failure
from tradelake.jars import PLUGIN_SET, Jars, load_lock

PLUGINS_OF_THE_WHEEL = ("metrics-prometheus",)
MANIFEST = "manifest.json"
CLUSTER_PLACES = {"flink-lib": "lib", "flink-s3-plugin": "plugins/s3-fs-hadoop"}
"""Set of jars that any Flink cluster needs -> where they go in its folder."""
FLINK_PLACES = {"flink-lib": "lib", "flink-opt": "opt", "flink-agent": "agent"}
"""The same for our own Flink, the wheel's. Agents do not stand in `lib/`, which is on the class path of everything."""


def flink_home() -> Path:
    """The installed `pyflink` folder: it is a whole Flink distribution."""
    spec = find_spec("pyflink")
    if spec is None or not spec.submodule_search_locations:
        raise Failure("PyFlink is not installed in this Python; run `make setup`")
    return Path(spec.submodule_search_locations[0])


def agent() -> Path:
    """Byteman, the agent of Flink's JVMs: what it changes in them stands in `conf/flink/*.btm`."""
    (jar,) = load_lock().sets["flink-agent"]
    return flink_home() / FLINK_PLACES["flink-agent"] / jar.filename


def place_all(jars: Jars) -> None:
    unpack_registry(jars)
    link_into_flink(jars, flink_home())
    place_plugins(jars, flink_home(), plugins_folder(jars))


def registry_folder(jars: Jars) -> Path:
    (archive,) = jars.files("registry")
    return jars.cache / "unpacked" / archive.name.removesuffix(".tar.gz")


def unpack_registry(jars: Jars) -> None:
    """Unpack the registry's archive beside it, in one atomic step, unless it stands there complete."""
    (archive,) = jars.files("registry")
    folder = registry_folder(jars)
    if complete(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.cache, prefix="unpack-") as temporary:
        fresh = Path(temporary) / "fresh"
        with tarfile.open(archive) as tar:
            # Debian 12's Python 3.11.2 knows no filters; the archive's digest has been checked.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            tar.extractall(fresh)  # noqa: S202
        (fresh / MANIFEST).write_text(json.dumps(digests(fresh)), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(temporary) / "damaged")
        try:
            fresh.rename(folder)
        except OSError:
            if not complete(folder):  # else another process was faster
                raise


def digests(folder: Path) -> dict[str, str]:
    """sha256 of each file, by its path within `folder`."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name != MANIFEST)
    return {f.relative_to(folder).as_posix(): digest(f) for f in files}


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def complete(folder: Path) -> bool:
    """Whether every unpacked file still has the bytes that it was unpacked with."""
    manifest = folder / MANIFEST
    return manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8")) == digests(folder)


def place_into_flink(jars: Jars, home: Path) -> None:
    """Copies of all that Flink needs, in its own folders: an image keeps no cache that links could point to."""
    link_into_flink(jars, home, shutil.copy2)
    place_plugins(jars, home, home / "plugins")


def link_into_flink(jars: Jars, home: Path, how: Callable[[Path, Path], object] | None = None) -> None:
    """PyFlink gets what the wheel left out, and in `lib/` the wheel's own Python jar, which it keeps in `opt/`."""
    for name, there in FLINK_PLACES.items():
        (home / there).mkdir(exist_ok=True)
        wanted = {jar.name: jar for jar in jars.files(name)}
        for link in (home / there).iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(jars.cache) and link.name not in wanted:
                link.unlink()  # of an earlier lock: two versions of a library on one class path
        for jar in wanted.values():
            place(jar, home / there / jar.name, how or link_or_copy)
    for jar in (home / "opt").glob("flink-python-*.jar"):
        place(jar, home / "lib" / jar.name, link_or_copy)


def place(source: Path, target: Path, how: Callable[[Path, Path], object]) -> None:
    """Make `target` the same content as `source`, in one atomic step, unless it is already."""
    if target.is_file() and (target.samefile(source) or digest(target) == digest(source)):
        return
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".place-") as temporary:
        fresh = Path(temporary) / source.name
        how(source, fresh)
        fresh.replace(target)


def link_or_copy(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def plugins_folder(jars: Jars) -> Path:
    """Flink loads every plugin that it finds; this folder holds the S3 file system and what we use of the wheel's."""
    (s3,) = jars.lock.sets["flink-s3-plugin"]
    return jars.cache / "plugins" / f"flink-{s3.parts[2]}-{s3.sha256[:8]}"


def place_plugins(jars: Jars, home: Path, plugins: Path) -> None:
    """Every set of plugins that the lock names, and what we use of the wheel's: a folder each."""
    wanted = {
        artifacts[0].parts[1].removeprefix("flink-"): jars.files(name)
        for name, artifacts in jars.lock.sets.items()
        if name.endswith(PLUGIN_SET)
    }
    wanted |= {name: sorted((home / "plugins" / name).glob("*.jar")) for name in PLUGINS_OF_THE_WHEEL}
    for plugin, files in wanted.items():
        folder = plugins / plugin
        folder.mkdir(parents=True, exist_ok=True)
        for jar in files:
            place(jar, folder / jar.name, shutil.copy2)  # the cache outlives this environment, and its files


def place_in_cluster(jars: Jars, flink: Path) -> None:
    """Copy what jobs need of any cluster into the folder of its Flink, or of its image."""
    for name, place_there in CLUSTER_PLACES.items():
        (flink / place_there).mkdir(parents=True, exist_ok=True)
        for jar in jars.files(name):
            place(jar, flink / place_there / jar.name, shutil.copy2)


def misplaced(jars: Jars) -> list[str]:
    """What `place_all` has yet to do, in words; empty when all stands in its place."""
    home = flink_home()
    wrong = [] if complete(registry_folder(jars)) else ["the schema registry is not unpacked, or damaged"]
    wrong += [
        f"{jar.name} is not in PyFlink's {there}/"
        for name, there in FLINK_PLACES.items()
        for jar in jars.files(name)
        if not (home / there / jar.name).exists()
    ]
    return wrong

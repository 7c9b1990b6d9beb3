"""Where checked jars are used from."""

import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from tradelake import jar_placement
from tradelake.jar_placement import link_or_copy, place, registry_folder, unpack_registry
from tradelake.jars import Artifact, Jars, Lock


@pytest.fixture
def cached(tmp_path: Path) -> Jars:
    """A cache that holds a registry of two files, a connector, and an agent."""
    source = tmp_path / "source"
    (source / "lib").mkdir(parents=True)
    (source / "quarkus-run.jar").write_bytes(b"runner")
    (source / "lib" / "a.jar").write_bytes(b"library")
    archive = tmp_path / "cache" / "jars" / "io.example" / "registry-1-all.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, arcname=".")
    sets = {"registry": [pin("io.example:registry:1:all:tar.gz", archive)], "flink-opt": []}
    for name, artifact in {"flink-lib": "connector", "flink-agent": "agent"}.items():
        file = archive.with_name(f"{artifact}-1.jar")
        file.write_bytes(artifact.encode())
        sets[name] = [pin(f"io.example:{artifact}:1", file)]
    return Jars(Lock(sets), tmp_path / "cache")


def pin(coordinate: str, file: Path) -> Artifact:
    return Artifact(coordinate, sha256(file.read_bytes()).hexdigest(), file.stat().st_size)


def test_the_registry_is_unpacked_beside_its_archive(cached: Jars) -> None:
    unpack_registry(cached)
    assert (registry_folder(cached) / "lib" / "a.jar").read_bytes() == b"library"
    assert sorted(p.name for p in cached.cache.iterdir()) == ["jars", "unpacked"]


@pytest.mark.parametrize("damage", ["changed", "removed", "added", "without manifest"])
def test_a_damaged_unpacked_registry_is_unpacked_again(cached: Jars, damage: str) -> None:
    unpack_registry(cached)
    folder = registry_folder(cached)
    if damage == "changed":
        (folder / "quarkus-run.jar").write_bytes(b"rUnner")
    elif damage == "removed":
        (folder / "lib" / "a.jar").unlink()
    elif damage == "added":
        (folder / "lib" / "b.jar").write_bytes(b"stranger")
    else:
        (folder / jar_placement.MANIFEST).unlink()
    assert not jar_placement.complete(folder)
    unpack_registry(cached)
    assert jar_placement.complete(folder)
    assert (folder / "quarkus-run.jar").read_bytes() == b"runner"
    assert not (folder / "lib" / "b.jar").exists()


def test_flinks_lib_gets_the_connectors_and_the_wheels_python_jar(cached: Jars, tmp_path: Path) -> None:
    home = tmp_path / "pyflink"
    (home / "lib").mkdir(parents=True)
    (home / "opt").mkdir()
    (home / "opt" / "flink-python-2.1.3.jar").write_bytes(b"python")
    jar_placement.link_into_flink(cached, home)
    assert {jar.name: jar.read_bytes() for jar in (home / "lib").iterdir()} == {
        "connector-1.jar": b"connector",
        "flink-python-2.1.3.jar": b"python",
    }


def test_a_jar_of_an_earlier_lock_leaves_the_class_path(cached: Jars, tmp_path: Path) -> None:
    home = tmp_path / "pyflink"
    (home / "lib").mkdir(parents=True)
    (home / "opt").mkdir()
    (home / "lib" / "connector-0.jar").symlink_to(cached.cache / "jars" / "io.example" / "connector-0.jar")
    (home / "lib" / "flink-dist.jar").touch()
    (home / "lib" / "somebodys.jar").symlink_to(tmp_path / "elsewhere.jar")
    jar_placement.link_into_flink(cached, home)
    assert sorted(jar.name for jar in (home / "lib").iterdir()) == ["connector-1.jar", "flink-dist.jar", "somebodys.jar"]


def test_what_is_not_placed_is_named(cached: Jars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "pyflink"
    (home / "lib").mkdir(parents=True)
    (home / "opt").mkdir()
    monkeypatch.setattr(jar_placement, "flink_home", lambda: home)
    assert jar_placement.misplaced(cached) == [
        "the schema registry is not unpacked, or damaged",
        "connector-1.jar is not in PyFlink's lib/",
        "agent-1.jar is not in PyFlink's agent/",
    ]
    unpack_registry(cached)
    jar_placement.link_into_flink(cached, home)
    assert jar_placement.misplaced(cached) == []


def test_a_copy_stands_in_where_links_are_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    source, target = tmp_path / "a.jar", tmp_path / "lib" / "a.jar"
    source.write_bytes(b"new")
    target.parent.mkdir()
    target.write_bytes(b"old")
    place(source, target, link_or_copy)
    assert (target.is_symlink(), target.read_bytes()) == (False, b"new")


def test_a_dangling_link_is_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "a.jar", tmp_path / "linked.jar"
    source.write_bytes(b"bytes")
    target.symlink_to(tmp_path / "gone.jar")
    place(source, target, link_or_copy)
    assert target.read_bytes() == b"bytes"


def test_an_images_flink_holds_copies_of_what_it_needs_and_nothing_else(cached: Jars, tmp_path: Path) -> None:
    archive = next((cached.cache / "jars").rglob("registry-*"))
    plugin = archive.with_name("flink-s3-fs-some-2.jar")
    plugin.write_bytes(b"plugin")
    more = {"flink-s3-plugin": [pin("io.example:flink-s3-fs-some:2", plugin)]}
    jars = Jars(Lock(cached.lock.sets | more).of_flink(), cached.cache)
    wanted = ["io.example:connector:1", "io.example:agent:1", "io.example:flink-s3-fs-some:2"]
    assert [artifact.coordinate for artifact in jars.lock.artifacts] == wanted
    home = tmp_path / "pyflink"
    for folder in ("lib", "opt", "plugins/metrics-prometheus"):
        (home / folder).mkdir(parents=True)
    jar_placement.place_into_flink(jars, home)
    placed = {file.relative_to(home).as_posix(): file.is_symlink() for file in home.rglob("*.jar")}
    assert placed == dict.fromkeys(("lib/connector-1.jar", "plugins/s3-fs-some/flink-s3-fs-some-2.jar", "agent/agent-1.jar"), False)


def test_a_foreign_flink_gets_copies_of_its_own(cached: Jars, tmp_path: Path) -> None:
    plugin = cached.cache / "jars" / "io.example" / "s3-1.jar"
    plugin.write_bytes(b"plugin")
    sets = {"flink-lib": cached.lock.sets["flink-lib"], "flink-s3-plugin": [pin("io.example:s3:1", plugin)]}
    flink = tmp_path / "flink"
    (flink / "lib").mkdir(parents=True)
    (flink / "lib" / "flink-dist.jar").write_bytes(b"its own")
    jar_placement.place_in_cluster(Jars(Lock(sets), cached.cache), flink)
    found = {file.relative_to(flink).as_posix(): (file.is_symlink(), file.read_bytes()) for file in flink.rglob("*.jar")}
    assert found == {
        "lib/flink-dist.jar": (False, b"its own"),
        "lib/connector-1.jar": (False, b"connector"),
        "plugins/s3-fs-hadoop/s3-1.jar": (False, b"plugin"),
    }

"""The jars of the local stack: fetched by coordinate, checked against `conf/jars.yaml`, kept in one cache for all homes.

A file takes its final name only after its sha256 was checked, and it is checked again before every use.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import platformdirs
import requests
import yaml
from jgo.maven import MavenContext, PythonResolver
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from conf import FOLDER
from tradelake.console import Failure, screen, step

LOCK = Path(str(FOLDER)) / "jars.yaml"
DOWNLOADS = 4
ATTEMPTS = 4
FLINK_SETS = ("flink-lib", "flink-opt", "flink-agent")
PLUGIN_SET = "-plugin"
"""How the name of a set ends that Flink loads as a plugin."""

Advance = Callable[[int], None]
Fetch = Callable[["Artifact", Path, Advance], Path]
"""Downloads one artifact into a folder of its own, reports each chunk's bytes, returns the file."""


class Damaged(OSError):
    """A downloaded file that is not the one of the lock."""


@dataclass(frozen=True)
class Artifact:
    """One pinned file; `size` in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """Group, artifact, version, classifier, packaging."""
        group, artifact, version, classifier, packaging, *_ = [*self.coordinate.split(":"), "", ""]
        return group, artifact, version, classifier, packaging or "jar"

    @property
    def filename(self) -> str:
        _, artifact, version, classifier, packaging = self.parts
        return f"{artifact}-{version}{classifier and '-' + classifier}.{packaging}"

    def fits(self, file: Path) -> bool:
        if not file.is_file() or file.stat().st_size != self.size:
            return False
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256


@dataclass(frozen=True)
class Lock:
    """The content of `conf/jars.yaml`."""

    sets: dict[str, list[Artifact]]

    @property
    def artifacts(self) -> list[Artifact]:
        return list(dict.fromkeys(a for artifacts in self.sets.values() for a in artifacts))

    def of_flink(self) -> "Lock":
        """What a Flink cluster of our own needs: not the other servers of the local stack."""
        return Lock({name: artifacts for name, artifacts in self.sets.items() if name in FLINK_SETS or name.endswith(PLUGIN_SET)})


@cache
def load_lock(path: Path = LOCK) -> Lock:
    # The parser in C, where PyYAML has it: the one in Python takes longer than most commands.
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    artifacts = {c: Artifact(c, pin["sha256"], pin["size"]) for c, pin in content["artifacts"].items()}
    return Lock({name: [artifacts[c] for c in coordinates] for name, coordinates in content["sets"].items()})


def cache_folder() -> Path:
    """`$TRADELAKE_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("TRADELAKE_CACHE") or platformdirs.user_cache_path("tradelake")).absolute()


@dataclass(frozen=True)
class Jars:
    """The jars of a lock in a cache folder."""

    lock: Lock
    cache: Path

    def path(self, artifact: Artifact) -> Path:
        return self.cache / "jars" / artifact.parts[0] / artifact.filename

    def files(self, name: str) -> list[Path]:
        """The files of one set, in the lock's order."""
        return [self.path(artifact) for artifact in self.lock.sets[name]]

    def classpath(self, name: str) -> str:
        return os.pathsep.join(map(str, self.files(name)))

    def missing(self) -> list[Artifact]:
        """What is absent or differs from the lock by one byte or more."""
        with ThreadPoolExecutor(DOWNLOADS) as threads:
            fitting = threads.map(lambda artifact: artifact.fits(self.path(artifact)), self.lock.artifacts)
            return [artifact for artifact, fits in zip(self.lock.artifacts, fitting, strict=True) if not fits]

    def place(self, artifact: Artifact, fetch: Fetch, advance: Advance) -> None:
        """Fetch one artifact, check it, and only then give it its name.

        Raises:
            Damaged: what came is not what the lock names.
        """
        target = self.path(artifact)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="download-") as folder:
            file = fetch(artifact, Path(folder), advance)
            if not artifact.fits(file):
                raise Damaged(f"{artifact.filename} came with other bytes than conf/jars.yaml names")
            file.replace(target)

    def refresh(self, fetch: Fetch) -> int:
        """Fetch what is missing or damaged, and say which was damaged; the number of files fetched.

        Raises:
            Failure: a file cannot be had; those that came are kept.
        """
        missing = self.missing()
        for artifact in missing:
            if self.path(artifact).exists():
                screen.print(f"  [yellow]![/] refused {artifact.filename}: its sha256 is not the one of conf/jars.yaml; fetching it again")
        with downloading(sum(a.size for a in missing)) as advance, ThreadPoolExecutor(DOWNLOADS) as threads:
            running = {threads.submit(place_with_retries, self, artifact, fetch, advance): artifact for artifact in missing}
            for done in as_completed(running):
                if error := done.exception():
                    threads.shutdown(wait=False, cancel_futures=True)
                    raise Failure(
                        f"{running[done].filename} cannot be downloaded ({reason(error)}); check the network, or name a mirror in "
                        "TRADELAKE_MAVEN_REPOSITORY, and run `tradelake jars` again: what has come is kept"
                    ) from error
        return len(missing)


def place_with_retries(jars: Jars, artifact: Artifact, fetch: Fetch, advance: Advance) -> None:
    """`Jars.place`, again when a download was cut or damaged; progress counts each byte once."""
    counted = 0

    def count(size: int) -> None:
        nonlocal counted
        counted += size
        advance(size)

    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(max=10),
        retry=retry_if_exception_type(OSError),  # requests' errors are OSErrors, as is Damaged
        reraise=True,
    )
    for attempt in retrying:
        with attempt:
            advance(-counted)
            counted = 0
            jars.place(artifact, fetch, count)


def fetch_with_jgo(artifact: Artifact, folder: Path, advance: Advance) -> Path:
    """Exactly the named file, with nothing resolved; jgo knows the repository, `$TRADELAKE_MAVEN_REPOSITORY` names a mirror."""

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Advance]:
        yield advance

    mirror = os.environ.get("TRADELAKE_MAVEN_REPOSITORY")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=folder,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=30,
    )
    group, name, version, classifier, packaging = artifact.parts
    return Path(context.project(group, name).at_version(version).artifact(classifier, packaging).resolve())


@contextmanager
def downloading(total: int) -> Iterator[Advance]:
    """A bar of bytes of `total`, when there is something to download."""
    if not total:
        yield lambda size: None
        return
    columns = (TextColumn("  downloading jars"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("jars", total=total)
        yield lambda size: progress.advance(task, size)


def reason(error: BaseException) -> str:
    """One short line without addresses."""
    if isinstance(error, requests.Timeout):
        return "the repository did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the repository"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).split(" in remote repositories")[0]


def verified_jars() -> Jars:
    """The jars, every byte checked.

    Raises:
        Failure: some are missing or damaged.
    """
    jars = Jars(load_lock(), cache_folder())
    if missing := jars.missing():
        names = ", ".join(a.filename for a in missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise Failure(f"{len(missing)} of {len(jars.lock.artifacts)} jars are missing or damaged ({names}); run `tradelake jars`")
    return jars


@click.command(name="jars")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy the jars that any Flink cluster needs into lib/ and plugins/ of its FOLDER, and leave the local stack alone.",
)
@click.option("--into-flink", is_flag=True, help="Copy what Flink itself needs into this Python's PyFlink: for an image.")
def jars(into: Path | None, into_flink: bool) -> None:
    """Download the jars of the local stack, check every byte, and place them where Flink looks."""
    from tradelake.jar_placement import CLUSTER_PLACES, flink_home, place_all, place_in_cluster, place_into_flink

    if into and into_flink:
        raise click.UsageError("give one of --into and --into-flink")
    lock = load_lock()
    wanted = Lock({name: lock.sets[name] for name in CLUSTER_PLACES}) if into else lock.of_flink() if into_flink else lock
    cached = Jars(wanted, cache_folder())
    cached.cache.mkdir(parents=True, exist_ok=True)
    with step(f"{len(cached.lock.artifacts)} jars verified"):
        cached.refresh(fetch_with_jgo)
        if into:
            place_in_cluster(cached, into)
        elif into_flink:
            place_into_flink(cached, flink_home())
        else:
            place_all(cached)

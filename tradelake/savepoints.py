"""Where a job's state stands, and which is the newest.

Checkpoints: `<state>/checkpoints/<job>/<job id>/chk-<n>`. Savepoints: `<state>/savepoints/<job>/savepoint-...` when our commands made them,
`<state>/savepoints/savepoint-<first 6 digits of the job id>-...` when Flink's own did. A state is complete once its `_metadata` is there.
Only the newest may be resumed: an older one would lose or double rows of Iceberg tables. Once the tables were rolled back to an older one,
`<state>/savepoints/<job>/roll-back.json` says so: that one is then the newest, until the job has made another.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyarrow import fs

from conf.settings import S3
from tradelake.console import Failure


def folder(state: str, job: str) -> str:
    """Where our commands put the job's savepoints."""
    return f"{state.rstrip('/')}/savepoints/{job}"


@dataclass(frozen=True, order=True)
class State:
    """A complete savepoint or checkpoint. `time`: when it was made, by the clock of its store."""

    time: datetime
    address: str

    @property
    def kind(self) -> str:
        return "checkpoint" if self.address.rpartition("/")[2].startswith("chk-") else "savepoint"


@dataclass(frozen=True)
class RollBack:
    """The last time that the tables of a job were rolled back: to which state, since when, and whether that came to its end."""

    state: str
    time: datetime
    done: bool


def newest(state: str, job: str, s3: S3) -> str | None:
    """The address of the state that the job's tables fit: its newest complete savepoint or checkpoint. None when it has none.

    Raises:
        Failure: a roll back of its tables was interrupted.
    """
    last = last_roll_back(state, job, s3)
    if last and not last.done:
        raise Failure(f"a roll back of {job} was interrupted; end it: `tradelake restore {job} {last.state} --roll-back`")
    return newest_of(states(state, job, s3), last)


def newest_of(found: list[State], last: RollBack | None) -> str | None:
    """The newest of these states, after a roll back or without one."""
    if last:
        found = [state for state in found if state.time > last.time] or [State(last.time, last.state)]
    return max(found).address if found else None


def states(state: str, job: str, s3: S3) -> list[State]:
    """All complete savepoints and checkpoints of a job, the newest first."""
    store = _Store(s3)
    checkpoints = f"{state.rstrip('/')}/checkpoints/{job}"
    of_its_ids = tuple(f"savepoint-{job_id[:6]}-" for job_id in store.names(checkpoints))
    by_flink = [
        f"{state.rstrip('/')}/savepoints/{name}" for name in store.names(f"{state.rstrip('/')}/savepoints") if name.startswith(of_its_ids)
    ]
    return sorted(
        (complete for address in (checkpoints, folder(state, job), *by_flink) for complete in store.complete(address)), reverse=True
    )


def is_complete(address: str, s3: S3) -> bool:
    """Whether a savepoint or checkpoint is there."""
    return _Store(s3).read(f"{address.rstrip('/')}/_metadata", 0) is not None


def last_roll_back(state: str, job: str, s3: S3) -> RollBack | None:
    found = _Store(s3).read(_roll_back_file(state, job))
    if found is None:
        return None
    time, text = found
    told = json.loads(text)
    return RollBack(told["state"], time, told["done"])


def note_roll_back(state: str, job: str, s3: S3, to: str, done: bool) -> None:
    """Write down that a job's tables are being rolled back to a state, or that this is done."""
    _Store(s3).write(_roll_back_file(state, job), json.dumps({"state": to, "done": done}))


def _roll_back_file(state: str, job: str) -> str:
    return f"{folder(state, job)}/roll-back.json"


def same(one: str, other: str) -> bool:
    """Whether two addresses are one. Flink writes file:/x, file:///x and /x of one folder."""
    return _plain(one) == _plain(other)


def _plain(address: str) -> str:
    return address.removeprefix("file:").strip("/")


class _Store:
    """Folders of this machine (`file://`) and of the environment's object store (`s3://`)."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    def names(self, address: str) -> list[str]:
        return [found.base_name for found in self._listed(address, recursive=False)]

    def _listed(self, address: str, recursive: bool) -> list[fs.FileInfo]:
        system, path = self._file_system(address)
        try:
            return list(system.get_file_info(fs.FileSelector(path, recursive=recursive, allow_not_found=True)))
        except OSError as error:
            raise Failure(f"{address} cannot be read: {str(error).splitlines()[0]}") from error

    def complete(self, address: str) -> list[State]:
        listed = self._listed(address, recursive=True)
        scheme = address.split("://")[0]
        return [State(f.mtime, f"{scheme}://{f.path.removesuffix('/_metadata')}") for f in listed if f.base_name == "_metadata"]

    def read(self, address: str, most: int | None = None) -> tuple[datetime, str] | None:
        """When a file was written, and its text (at `most` so many bytes of it); None where there is none."""
        system, path = self._file_system(address)
        try:
            found = system.get_file_info(path)
            if found.type != fs.FileType.File:
                return None
            with system.open_input_stream(path) as stream:
                return found.mtime, stream.read(most).decode()
        except OSError as error:
            raise Failure(f"{address} cannot be read: {str(error).splitlines()[0]}") from error

    def write(self, address: str, text: str) -> None:
        system, path = self._file_system(address)
        try:
            if isinstance(system, fs.LocalFileSystem):
                system.create_dir(path.rpartition("/")[0], recursive=True)
            with system.open_output_stream(path) as stream:
                stream.write(text.encode())
        except OSError as error:
            raise Failure(f"{address} cannot be written: {str(error).splitlines()[0]}") from error

    def _file_system(self, address: str) -> tuple[fs.FileSystem, str]:
        """The file system of an address, and the path in it. Flink escapes nothing in an address; Arrow wants it escaped."""
        if address.startswith(("file:", "/")):  # Flink prints file:/x
            return fs.LocalFileSystem(), f"/{_plain(address)}"
        scheme, _, path = address.partition("://")
        if scheme not in ("s3", "s3a"):
            known: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(address)
            return known
        from tradelake.lake import credentials  # with a query engine that looking for files on this machine need not wait for

        keys = credentials(self._s3)
        store: Any = fs.S3FileSystem(
            endpoint_override=self._s3.endpoint,
            region=self._s3.region,
            force_virtual_addressing=not self._s3.path_style_access,
            **({"access_key": keys.key_id, "secret_key": keys.secret, "session_token": keys.token} if keys else {}),
        )
        return store, path

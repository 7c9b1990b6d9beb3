"""Where a job's state stands, and which is the newest.

Checkpoints: `<state>/checkpoints/<job>/<job id>/chk-<n>`. Savepoints: `<state>/savepoints/<job>/savepoint-...` when our commands made them,
`<state>/savepoints/savepoint-<first 6 digits of the job id>-...` when Flink's own did. A state is complete once its `_metadata` is there.
Only the newest may be resumed: an older one would lose or double rows of Iceberg tables.
"""

from datetime import datetime
from typing import Any

from pyarrow import fs

from conf.settings import S3
from tradelake.console import Failure


def folder(state: str, job: str) -> str:
    """Where our commands put the job's savepoints."""
    return f"{state.rstrip('/')}/savepoints/{job}"


def newest(state: str, job: str, s3: S3) -> str | None:
    """The address of the job's newest complete savepoint or checkpoint, or None when it has none."""
    store = _Store(s3)
    checkpoints = f"{state.rstrip('/')}/checkpoints/{job}"
    of_its_ids = tuple(f"savepoint-{job_id[:6]}-" for job_id in store.names(checkpoints))
    by_flink = [
        f"{state.rstrip('/')}/savepoints/{name}" for name in store.names(f"{state.rstrip('/')}/savepoints") if name.startswith(of_its_ids)
    ]
    found = [complete for address in (checkpoints, folder(state, job), *by_flink) for complete in store.complete(address)]
    return max(found)[1] if found else None


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

    def complete(self, address: str) -> list[tuple[datetime, str]]:
        listed = self._listed(address, recursive=True)
        scheme = address.split("://")[0]
        return [(f.mtime, f"{scheme}://{f.path.removesuffix('/_metadata')}") for f in listed if f.base_name == "_metadata"]

    def _file_system(self, address: str) -> tuple[fs.FileSystem, str]:
        """The file system of an address, and the path in it. Flink escapes nothing in an address; Arrow wants it escaped."""
        scheme, _, path = address.partition("://")
        if scheme == "file":
            return fs.LocalFileSystem(), path
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

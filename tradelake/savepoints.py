"""Where a job's state stands, and which is the newest.

Checkpoints: `<state>/checkpoints/<job>/<job id>/chk-<n>`. Savepoints: `<state>/savepoints/<job>/savepoint-...` when our commands made them,
`<state>/savepoints/savepoint-<first 6 digits of the job id>-...` when Flink's own did. A state is complete once its `_metadata` is there.
Only the newest may be resumed: an older one would lose or double rows of Iceberg tables.
"""

from datetime import datetime

from pyarrow import fs


def folder(state: str, job: str) -> str:
    """Where our commands put the job's savepoints."""
    return f"{state.rstrip('/')}/savepoints/{job}"


def newest(state: str, job: str) -> str | None:
    """The address of the job's newest complete savepoint or checkpoint, or None when it has none."""
    checkpoints = f"{state.rstrip('/')}/checkpoints/{job}"
    of_its_ids = tuple(f"savepoint-{job_id[:6]}-" for job_id in _names(checkpoints))
    by_flink = [
        f"{state.rstrip('/')}/savepoints/{name}" for name in _names(f"{state.rstrip('/')}/savepoints") if name.startswith(of_its_ids)
    ]
    found = [complete for address in (checkpoints, folder(state, job), *by_flink) for complete in _complete(address)]
    return max(found)[1] if found else None


def _file_system(address: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address, and the path in it. Flink escapes nothing in a local folder's address; Arrow wants it escaped."""
    local = address.removeprefix("file://")
    return (fs.LocalFileSystem(), local) if local != address else fs.FileSystem.from_uri(address)


def _names(address: str) -> list[str]:
    system, path = _file_system(address)
    return [found.base_name for found in system.get_file_info(fs.FileSelector(path, allow_not_found=True))]


def _complete(address: str) -> list[tuple[datetime, str]]:
    system, path = _file_system(address)
    listed = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    scheme = address.split("://")[0]
    return [(f.mtime, f"{scheme}://{f.path.removesuffix('/_metadata')}") for f in listed if f.base_name == "_metadata"]

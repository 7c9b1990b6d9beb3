"""Where a job's state stands, and which is the newest.

Each job keeps its checkpoints in `<state>/checkpoints/<job>/<job id>/chk-<n>` and its savepoints in
`<state>/savepoints/<job>/savepoint-...`; one is complete once its `_metadata` is there. Only the newest may be resumed: an older one would
lose or double rows of Iceberg tables.
"""

from datetime import datetime

from pyarrow import fs


def newest(state: str, job: str) -> str | None:
    """The address of the job's newest complete savepoint or checkpoint, or None when it has none."""
    found = [state_of for kind in ("savepoints", "checkpoints") for state_of in _complete(f"{state.rstrip('/')}/{kind}/{job}")]
    return max(found)[1] if found else None


def _complete(address: str) -> list[tuple[datetime, str]]:
    system, path = fs.FileSystem.from_uri(address)
    scheme = address.split("://")[0]
    listed = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return [(f.mtime, f"{scheme}://{f.path.removesuffix('/_metadata')}") for f in listed if f.base_name == "_metadata"]

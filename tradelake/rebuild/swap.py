"""New files beside a table, and the one commit that puts them in the place of old ones."""

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tradelake.arrow import schema_of
from tradelake.audit.pins import REBUILD
from tradelake.console import Failure

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

ATTEMPTS = 3
"""Of a commit, which takes a moment longer than an append: a job that commits often comes in between."""


class Crowded(Failure):
    """Others committed in between, each time."""


class _AsOftenAsNamed(set["DataFile"]):
    """Files that go, each as often as the table names it: its totals count by these, and pyiceberg knows of none that is named twice."""

    def __init__(self, files: "Iterable[DataFile]") -> None:
        self._every = list(files)
        super().__init__(self._every)

    def __iter__(self) -> "Iterator[DataFile]":
        return iter(self._every)


class Staged:
    """Data files of a table that no snapshot names yet."""

    def __init__(self, table: "Table") -> None:
        self.table = table
        self._files: list[DataFile] = []
        self._gone: list[DataFile] = []

    def add(self, rows: pa.Table) -> None:
        """Write rows as data files, one for each of their partitions."""
        from pyiceberg.io.pyarrow import _dataframe_to_data_files  # what its own `append` is made of

        schema = schema_of(self.table)
        fitting = rows.select(schema.names).cast(schema)
        self._files += _dataframe_to_data_files(self.table.metadata, fitting, self.table.io)

    def replace(self, drops: Iterable[tuple[str, list[int]]]) -> None:
        """Write the other rows of these files as new ones; the files are to go.

        Args:
            drops: a file of the table's snapshot, and the numbers of its rows that are to go. A commit that landed twice names its files
                twice: each row is then there as often, and its number is named as often as it is to go.
        """
        files: dict[str, tuple[DataFile, int]] = {}
        for name, numbers in drops:
            files = files or self._current()
            file, times = files[name]
            rows = self._rows(file)
            stay = times - np.bincount(np.array(numbers, np.int64), minlength=rows.num_rows)
            if stay.any():
                self.add(rows.take(pa.array(np.repeat(np.arange(rows.num_rows), stay))))
            self._gone += [file] * times

    def _current(self) -> "dict[str, tuple[DataFile, int]]":
        """Path -> file of the table, and how often the table names it."""
        files: dict[str, tuple[DataFile, int]] = {}
        snapshot = self.table.current_snapshot()
        for manifest in snapshot.manifests(self.table.io) if snapshot else ():
            for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True):
                path = entry.data_file.file_path
                files[path] = (entry.data_file, files.get(path, (None, 0))[1] + 1)
        return files

    def _rows(self, file: "DataFile") -> pa.Table:
        """A file's rows in their order."""
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan
        from pyiceberg.table import FileScanTask

        scan = ArrowScan(self.table.metadata, self.table.io, self.table.schema(), AlwaysTrue())
        rows = scan.to_table([FileScanTask(file)])
        if rows.num_rows != file.record_count:
            raise Failure(
                f"{file.file_path} has {file.record_count} rows by the table's metadata, and {rows.num_rows} were read; nothing is changed"
            )
        return rows

    def commit(self, rebuild_id: str) -> int | None:
        """Swap, in one snapshot; its id, None where there is nothing to swap. What jobs append meanwhile stays.

        Raises:
            Crowded: jobs commit so often that no attempt came through; nothing is changed, and it may be tried again.
            Failure: one of the old files is not in the table any more; nothing is changed. Or the catalog's answer was lost.
        """
        from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ValidationException

        if not self._files and not self._gone:
            return None
        logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # it warns of old metadata files that the catalog has deleted already
        name = self.table.name()[-1]
        for _ in range(ATTEMPTS):
            self.table.refresh()
            self.table.metadata.properties["commit.retry.num-retries"] = "0"  # of this copy: its own retries refuse every append of a job
            try:
                self._commit(rebuild_id)
            except CommitFailedException:
                continue
            except ValidationException as error:
                self.discard()
                raise Failure(f"{name} was changed by another rebuild meanwhile; nothing is changed, run it again") from error
            except BaseException as error:
                self._files = []  # the commit may have landed: they stay
                if isinstance(error, CommitStateUnknownException):
                    raise Failure(f"the catalog did not say whether {name} is swapped; run it again, which compares first") from error
                raise
            self._files, self._gone = [], []
            snapshot = self.table.current_snapshot()
            assert snapshot
            return snapshot.snapshot_id
        raise Crowded(f"{name} was committed to {ATTEMPTS} times in between; nothing is changed")

    def _commit(self, rebuild_id: str) -> None:
        with self.table.transaction() as transaction, transaction.update_snapshot({REBUILD: rebuild_id}).overwrite() as overwrite:
            overwrite._deleted_data_files = _AsOftenAsNamed(self._gone)
            for file in self._files:
                overwrite.append_data_file(file)

    def discard(self) -> None:
        """Remove the files, which no snapshot names."""
        for file in self._files:
            self.table.io.delete(file.file_path)
        self._files = []

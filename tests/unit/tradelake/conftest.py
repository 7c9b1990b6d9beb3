"""The sound lake, made once, and given to each test as it was made."""

from collections.abc import Iterator

import duckdb
import pytest

from tests.unit.tradelake.sound_lake import sound_lake


@pytest.fixture(scope="session")
def sound() -> duckdb.DuckDBPyConnection:
    return sound_lake()


@pytest.fixture
def lake(sound: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sound lake, to be changed, and as it was afterwards."""
    sound.execute("BEGIN")
    yield sound
    sound.execute("ROLLBACK")

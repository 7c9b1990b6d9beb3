"""Which moment is meant, and which snapshots were the newest then."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tradelake.as_of import EPOCH, History, moment, refuse_expired, shown
from tradelake.console import Failure

NOW = datetime(2026, 8, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-08-08T23:54:15Z", datetime(2026, 8, 8, 23, 54, 15, tzinfo=UTC)),
        ("2026-08-09T01:54:15.342+02:00", datetime(2026, 8, 8, 23, 54, 15, 342000, UTC)),
        (" 2026-08-08 23:54Z ", datetime(2026, 8, 8, 23, 54, tzinfo=UTC)),
        ("5 min", NOW - timedelta(minutes=5)),
        ("5 min ago", NOW - timedelta(minutes=5)),
        ("2h", NOW - timedelta(hours=2)),
        ("1 d ago", NOW - timedelta(days=1)),
        ("2026-08-09T12:00:00Z", NOW),
    ],
)
def test_a_time_is_absolute_or_how_long_ago(text: str, wanted: datetime) -> None:
    assert moment(text, NOW) == wanted
    assert moment(text, NOW).tzinfo == UTC


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-08-08T23:54:15", "has no time zone: add Z"),
        ("2026-08-08", "has no time zone: add Z"),
        ("2026-08-09T12:00:00.001Z", "lies in the future: it is 2026-08-09T12:00:00.000Z now"),
        ("yesterday", "is no time: write"),
        ("", "is no time: write"),
        ("ago", "is no time: write"),
        ("5", "is no time: write"),
        ("-5 min", "is no time: write"),
        ("2026-13-01T00:00:00Z", "is no time: write"),
        ("1000000 d", "is out of range"),
        ("0001-01-01T00:00:00+05:00", "is out of range"),
    ],
)
def test_what_is_no_moment_of_the_past_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"time|future|range") as refused:
        moment(text, NOW)
    assert why in str(refused.value)


def test_a_time_is_shown_in_utc() -> None:
    assert shown(datetime(2026, 8, 9, 1, 54, 15, 342999, timezone(timedelta(hours=2)))) == "2026-08-08T23:54:15.342Z"


def at(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def metadata(kept: dict[int, int | None], log: list[tuple[int, int]]) -> dict[str, Any]:
    """A table's metadata: snapshot -> parent, and which became the newest at which second."""
    snapshots = [{"snapshot-id": one} | ({"parent-snapshot-id": parent} if parent else {}) for one, parent in kept.items()]
    return {"snapshots": snapshots, "snapshot-log": [{"timestamp-ms": second * 1000, "snapshot-id": one} for second, one in log]}


def test_a_moment_has_the_newest_snapshot_before_it() -> None:
    history = History.of(metadata({11: None, 12: 11, 13: 12}, [(1, 11), (2, 12), (3, 13)]))
    assert [history.at(at(second)) for second in (0, 1, 2, 3, 9)] == [None, 11, 12, 13, 13]
    assert history.at(at(2) - timedelta(milliseconds=1)) == 11
    assert history.oldest is None


def test_a_snapshot_that_was_rolled_back_counts_until_then() -> None:
    history = History.of(metadata({11: None, 12: 11}, [(1, 11), (2, 12), (3, 11)]))
    assert [history.at(at(second)) for second in (1, 2, 3)] == [11, 12, 11]


@pytest.mark.parametrize(
    "told",
    [
        metadata({12: 11, 13: 12}, [(2, 12), (3, 13)]),  # as Iceberg's Java library cuts the log
        metadata({12: 11, 13: 12}, [(1, 11), (2, 12), (3, 13)]),  # as the format allows
        metadata({12: None, 13: 12}, [(1, 11), (2, 12), (3, 13)]),  # whatever the oldest that is left says of a parent
    ],
)
def test_expired_snapshots_are_known_to_have_been_there(told: dict[str, Any]) -> None:
    history = History.of(told)
    assert history.oldest == at(2)
    assert history.at(at(3)) == 13
    refuse_expired({"gold": history}, at(2))
    with pytest.raises(Failure, match=r"as of 1970-01-01T00:00:01\.999Z.*\(gold\).*can be read is 1970-01-01T00:00:02\.000Z"):
        refuse_expired({"gold": history}, at(2) - timedelta(milliseconds=1))


def test_all_tables_must_be_readable_at_one_moment() -> None:
    tables = {
        "bronze": History.of(metadata({12: 11}, [(20, 12)])),
        "silver": History.of(metadata({22: 21}, [(30, 22)])),
        "gold": History.of(metadata({31: None}, [(40, 31)])),
        "dlq": History.of({}),
    }
    refuse_expired(tables, at(30))
    with pytest.raises(Failure, match=r"\(silver\).*1970-01-01T00:00:30"):
        refuse_expired(tables, at(29))
    with pytest.raises(Failure, match=r"\(bronze, silver\).*1970-01-01T00:00:30"):
        refuse_expired(tables, at(1))


def test_a_table_without_any_snapshot_is_empty_at_every_moment() -> None:
    assert History.of({"snapshots": [], "snapshot-log": []}).at(NOW) is None
    assert History.of({}).oldest is None

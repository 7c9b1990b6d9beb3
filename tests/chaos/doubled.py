"""The one fault that is known to double rows: a commit that lands late (Iceberg #14425); what it doubled, and the repair."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pyiceberg.table.snapshots import Snapshot

from tests.chaos.network import MARKS
from tests.e2e.stack import Stack
from tests.truth.lake import GOLD, Lake

Finding = dict[str, Any]
NAMED = 100
"""Findings of a kind that an audit names at most."""


@dataclass(frozen=True)
class Doubled:
    """A commit of gold that landed twice.

    Attributes:
        snapshots: the two, in the order in which they landed.
        rows: how many the second one brought.
        ids: every message_id that gold has more than once.
    """

    snapshots: tuple[int, ...]
    rows: int
    ids: frozenset[str]


def doubled_by(lake: Lake, late: int) -> Doubled | None:
    """What the snapshot `late` has been joined by; None where it stayed alone, and nothing is doubled."""
    snapshots = {snapshot.snapshot_id: snapshot for snapshot in lake.table(GOLD).metadata.snapshots}
    pair = [snapshot for snapshot in snapshots.values() if marks_of(snapshot) == marks_of(snapshots[late])]
    if len(pair) == 1:
        return None
    times = Counter(lake.rows(GOLD, ("message_id",))["message_id"].to_pylist())
    ids = frozenset(message_id for message_id, many in times.items() if many > 1)
    added = [int(snapshot.summary["added-records"] or 0) for snapshot in pair[1:] if snapshot.summary]
    return Doubled(tuple(snapshot.snapshot_id for snapshot in pair), sum(added), ids)


def marks_of(snapshot: Snapshot) -> tuple[str | None, ...]:
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return tuple(properties.get(mark) for mark in MARKS)


def unexplained(found: list[Finding], doubled: Doubled) -> list[Finding]:
    """What an audit found beside the pair of snapshots and their rows, and what of these it did not find."""
    pair = ", ".join(map(str, doubled.snapshots))
    commits = [one for one in found if (one["check"], one["kind"], one["table"], one["key"]) == ("commits", "doubled", GOLD, pair)]
    rows = [one for one in found if (one["check"], one["kind"], one["table"]) == ("ids", "doubled", GOLD) and one["key"] in doubled.ids]
    others = [one for one in found if one not in commits and one not in rows]
    if [one["rows"] for one in commits] != [doubled.rows]:
        others.append({"evidence": f"the audit should name the snapshots {pair} with {doubled.rows} rows: {commits}"})
    if len(rows) != min(NAMED, doubled.rows) or len(doubled.ids) != doubled.rows:
        others.append({"evidence": f"{doubled.rows} rows came twice, gold has {len(doubled.ids)} ids twice, {len(rows)} are named"})
    return others


def rebuild_gold(jobs: Stack) -> None:
    """The repair, as docs/audit.md has it."""
    jobs.tradelake("rebuild", "gold", "--swap")

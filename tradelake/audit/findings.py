"""What an audit finds."""

from dataclasses import dataclass, field

SHOWN = 100
"""Findings of one kind that are named; all are counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be.

    Attributes:
        kind: absent, doubled, orphan (the layer before has no such row), altered, misplaced, or gap.
        table: where.
        key: which: `topic:partition:offset`, `topic:partition:first-last`, a message_id, a symbol with its ids, a file, snapshots.
        rows: how many rows it stands for.
        evidence: what was seen.
        repair: what to do.
        notice: whether the pipeline has kept its promises all the same.
    """

    kind: str
    table: str
    key: str
    rows: int
    evidence: str
    repair: str
    notice: bool = False


@dataclass
class Check:
    """One question to one table.

    Attributes:
        rows: how many were looked at.
        wrong: how many rows its findings stand for, those that are not named included; notices do not count.
        noticed: the same of notices.
        in_flight: rows that were on their way when the audit began, and arrived while it ran.
        seconds: how long it took.
    """

    name: str
    table: str
    rows: int = 0
    wrong: int = 0
    noticed: int = 0
    in_flight: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count a finding, and name it unless enough of its kind are named."""
        self.count(finding.rows, finding.notice)
        if sum((one.kind, one.notice) == (finding.kind, finding.notice) for one in self.findings) < SHOWN:
            self.findings.append(finding)

    def count(self, rows: int, notice: bool = False) -> None:
        if notice:
            self.noticed += rows
        else:
            self.wrong += rows

    @property
    def clean(self) -> bool:
        """No promise is broken; there may be notices."""
        return self.wrong == 0


def run_of(topic: str, partition: int, first: int, last: int) -> str:
    """Offsets as a key: `topic:partition:first-last`, or `topic:partition:offset` for one."""
    return f"{topic}:{partition}:{first}" if first == last else f"{topic}:{partition}:{first}-{last}"

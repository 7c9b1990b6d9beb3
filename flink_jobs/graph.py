"""The job's graph, made readable: what people see in Flink's web UI, and what a job's state is found again by."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StatementSet

Labels = Mapping[str, Sequence[str]]
"""Kind of an operator, as the planner names it -> what each is for, in the order of the graph."""


def execute(env: StreamExecutionEnvironment, name: str, statements: StatementSet, sources: Sequence[str], labels: Labels) -> None:
    """Submit the statements as the job `name`, its operators named and its stateful ones with uids of their own.

    Without such uids Flink finds state by the shape of the whole graph, and a query changed anywhere loses all of it. The judge and
    the sinks have theirs already.

    Args:
        sources: what the job reads, in the order of its statements.
    """
    statements.attach_as_datastream()
    operators = list(_operators(env))
    for source, operator in zip(sources, _of_kind(operators, "Source"), strict=True):
        operator.setUid(f"source-{source}")
    for operator in _of_kind(operators, "Deduplicate"):
        operator.setUid("deduplicate")
    for label, operator in _labelled(operators, {**labels, "Source": sources}):
        description = re.sub(r"^\[\d+\]:", "", operator.getDescription() or "")
        operator.setName(label)
        operator.setDescription(f"{label}: {description}" if description else label)
    env.execute_async(name)


def _operators(env: StreamExecutionEnvironment) -> Iterator[Any]:
    """Flink's transformations, each once, every one after those that it reads from."""
    roots = env._j_stream_execution_environment.getTransformations()
    every = {operator.getId(): operator for root in roots for operator in root.getTransitivePredecessors()}
    return (every[number] for number in sorted(every))


def _kind(operator: Any) -> str:
    """`Calc` of `Calc[12]`, `view` of the stream that stands for a view, `Source` of a source."""
    if operator.getClass().getSimpleName() == "SourceTransformation":
        return "Source"
    name = str(operator.getName())
    return "view" if name.startswith("*anonymous_datastream_source") else re.sub(r"\[\d+\]$", "", name)


def _of_kind(operators: Iterable[Any], kind: str) -> list[Any]:
    return [operator for operator in operators if _kind(operator) == kind]


def _labelled(operators: Sequence[Any], labels: Labels) -> Iterator[tuple[str, Any]]:
    """Where a planner makes more or fewer operators of a kind than there are labels, its own names are the truer ones."""
    for kind, names in labels.items():
        found = _of_kind(operators, kind)
        if len(found) == len(names):
            yield from zip(names, found, strict=True)

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
    if deduplications := _of_kind(operators, "Deduplicate"):
        for source, operator in zip(sources, deduplications, strict=True):
            operator.setUid(f"deduplicate-{source}")
    if env.get_parallelism() == 1:
        _chain(operators)
    for label, operator in _labelled(operators, {**labels, "Source": sources}):
        description = re.sub(r"^\[\d+\]:", "", operator.getDescription() or "")
        operator.setName(label)
        operator.setDescription(f"{label}: {description}" if description else label)
    env.execute_async(name)


def _chain(operators: Iterable[Any]) -> None:
    """Let what is before an exchange by key and what is behind it run in one thread, where there is but one of each.

    The planner exchanges rows by key at any parallelism, which costs as much as reading and writing them: each is serialised, handed over
    and read again. A single task has all keys. State does not know the difference: with more tasks the exchange is there again.
    """
    from pyflink.java_gateway import get_gateway

    jvm = get_gateway().jvm
    forward = jvm.org.apache.flink.streaming.runtime.partitioner.ForwardPartitioner
    for operator in operators:
        if operator.getClass().getSimpleName() == "PartitionTransformation" and _is_by_key(operator.getPartitioner()):
            field = operator.getClass().getDeclaredField("partitioner")
            field.setAccessible(True)
            field.set(operator, forward())


def _is_by_key(partitioner: Any) -> bool:
    return str(partitioner.getClass().getSimpleName()) == "KeyGroupStreamPartitioner"


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

"""YAML as people write it into settings: safe, no key twice, and mistakes told without quoting the file."""

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which no key stands twice; whatever is wrong is a `YAMLError` with its position."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise ConstructorError(None, None, f"the key {short(key.value)} stands here a second time", key.start_mark)
            seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"a value that is no {kind}, put it in quotes if it is text", node.start_mark) from error


def read_yaml(text: str) -> Any:
    """Raises:
    yaml.YAMLError: it cannot be used; `problem` says why.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except RecursionError:
        raise ConstructorError(None, None, "nested too deeply", loader.get_mark()) from None
    finally:
        loader.dispose()


def problem(error: yaml.YAMLError) -> str:
    """Where and what, but nothing of the file's own text: it may be a password."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        words = re.sub(r"""'[^']{2,}'|".*\"""", "...", error.problem or "", flags=re.DOTALL)
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {words}"
    if isinstance(error, ReaderError):
        return f"position {error.position}: {error.reason}"
    return type(error).__name__


def short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."

"""Every SQL statement that runs, as package data.

A statement file is readable by itself; `${name}` stands for what differs from run to run.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template


def text(name: str, /, **parameters: str | int) -> str:
    """`sql/<name>.sql` with its parameters filled in.

    Raises:
        KeyError: the file names a parameter that was not given.
    """
    return Template(_template(name)).substitute(parameters)


def statements(name: str, /, **parameters: str | int) -> list[str]:
    """The statements of `sql/<name>.sql`, one by one, without their comments and semicolons; a parameter keeps its own.

    Raises:
        KeyError: the file names a parameter that was not given.
    """
    without_comments = re.sub(r"^\s*--.*$", "", _template(name), flags=re.MULTILINE)
    return [Template(s.strip()).substitute(parameters) for s in re.split(r";\s*(?:\n|$)", without_comments) if s.strip()]


EACH = re.compile(r"^ *-- for each exchange\n(.*?)^ *-- end\n", re.MULTILINE | re.DOTALL)


def for_each(text: str, exchanges: Iterable[str]) -> str:
    """The text; what stands between `-- for each exchange` and `-- end` once for each, in one `UNION ALL`, with its `${exchange}`."""
    names = list(exchanges)

    def every(block: re.Match[str]) -> str:
        indent = " " * (len(block[1]) - len(block[1].lstrip(" ")))
        return f"{indent}UNION ALL\n".join(block[1].replace("${exchange}", name) for name in names)

    return EACH.sub(every, text)


def _template(name: str) -> str:
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def options(options: Mapping[str, str]) -> str:
    """The inside of `WITH (...)` or `OPTIONS(...)`: `'key' = 'value'`, a line each."""
    return ",\n".join(f"    {_quoted(key)} = {_quoted(value)}" for key, value in options.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def cause(error: Exception) -> str:
    """Why Flink refused a statement: the innermost Java exception, in its own words. The others may show all options of a catalog."""
    java = getattr(error, "java_exception", None)
    if java is None:
        causes: list[str] = re.findall(r"^Caused by: (.*)$", str(error), re.MULTILINE)
        return causes[-1] if causes else type(error).__name__
    while java.getCause() is not None:
        java = java.getCause()
    return str(java.toString()).splitlines()[0]

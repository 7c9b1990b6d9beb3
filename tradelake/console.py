"""What the command line prints while it works: one line a step, on standard error, so that results stay alone on standard output."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

screen = Console(stderr=True, highlight=False)
output = Console(highlight=False)
WIDEST = 500


class Failure(Exception):
    """Something a person can act on: one line that says what is wrong and what to do. The command exits with 1."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show `what` while it runs, and how long it took once it is true."""
    started = time.monotonic()
    with screen.status(what):
        yield
    screen.print(f"  [green]✓[/] {what} [dim]({time.monotonic() - started:.1f} s)[/]")


def print_whole(table: Table) -> None:
    """Print a table as wide as it needs, whatever the terminal's width: an address cut in two cannot be opened, nor copied."""
    table.width = output.measure(table, options=output.options.update(max_width=WIDEST)).maximum
    output.print(table, crop=False)

"""`tradelake demo`: from nothing to gold, for somebody who has never seen it."""

from tradelake.demo.command import demo

__all__ = ["demo"]

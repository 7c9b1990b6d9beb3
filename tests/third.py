"""The pipeline file of somebody who wants Coinbase as well: the packaged one, with the block in it that is not switched on."""

import re
from pathlib import Path

from conf.settings import PIPELINE

SWITCHED_OFF = re.compile(r"^  # ( *(?:coinbase|topic|partitions|retention|feed|endpoints|silence):)", re.MULTILINE)


def with_coinbase() -> str:
    """The text of that file."""
    return SWITCHED_OFF.sub(r"  \1", PIPELINE.read_text(encoding="utf-8"))


def write(folder: Path) -> Path:
    """That file, in this folder."""
    file = folder / "with-coinbase.yaml"
    file.write_text(with_coinbase(), encoding="utf-8")
    return file

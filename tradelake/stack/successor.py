"""`python -m tradelake.stack.successor COMMAND...`: become COMMAND, after ending what a killed predecessor of this part has left.

A TaskManager that is killed leaves its Python workers behind, 0.2 GB each, which wait for it for ever.
"""

import os
import sys
from pathlib import Path

from tradelake.stack.processes import HOME, PART, sweep

if __name__ == "__main__":
    sweep(Path(os.environ[HOME]), os.environ[PART])
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606

"""`make chaos`: a stack of its own, faults while trades flow, an audit after each, and a table of recovery times."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import plan
from tests.chaos.network import between
from tests.chaos.run import flow, outcomes, report
from tests.e2e.stack import Stack, free_port_base


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=10, help="faults (default: %(default)s)")
    options.add_argument(
        "--seed", default=secrets.token_hex(4), help="the same seed plans the same faults (default: another one each time)"
    )
    options.add_argument("--longest", type=float, default=60.0, help="seconds that a pause or a load lasts at most (default: %(default)s)")
    options.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    given = options.parse_args()
    faults = plan(given.seed, given.count, given.longest)
    print(f"seed {given.seed}\n" + "\n".join(f"{number:>4}  {fault}" for number, fault in enumerate(faults, 1)), flush=True)
    if given.plan:
        return 0
    folder = Path(tempfile.mkdtemp(prefix="tradelake-chaos-"))
    stack = Stack(folder / "home", free_port_base())
    try:
        for command in (("up", "--port-base", stack.port_base), ("topics", "create"), ("tables", "create")):
            stack.tradelake(*command)
        with between(stack, folder) as network:
            network.jobs.tradelake("submit")
            with flow(stack, given.seed) as producer:
                done = list(outcomes(network, faults, producer, lambda line: print(line, flush=True)))
            stack.settle()
            wrong = stack.discrepancies()
            network.jobs.tradelake("stop")
    finally:
        stack.tradelake("down", "--purge")
    print("\n" + report(given.seed, done))
    print("\n".join(["", "by the independent books of the tests: " + ("nothing lost, nothing doubled" if not wrong else "; ".join(wrong))]))
    return 1 if wrong or not all(one.clean for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())

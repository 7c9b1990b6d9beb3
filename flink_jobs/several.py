"""Several jobs, submitted one after the other by one process: Java, Python and the planner start once for all of them.

flink run -py flink_jobs/several.py --submit bronze-binance --submit "gold --from-state /path/of/a/savepoint" --conf conf/pipeline.yaml
"""

import argparse
import shlex
import sys
import traceback
from collections.abc import Sequence

from flink_jobs import bronze, gold, silver

LAYERS = {"bronze": bronze.main, "silver": silver.main, "gold": gold.main}


def main(argv: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        prog="several.py",
        description=__doc__.splitlines()[0],
        epilog="All other options are those of every job (bronze.py --help), and go to each. One that is refused or fails stops no other.",
    )
    what = "gold, bronze-binance and the like, with options of its own: 'gold --from-state PATH'; as often as there are jobs"
    options.add_argument("--submit", action="append", required=True, metavar="NAME", help=what)
    given, of_each = options.parse_known_args(argv)
    if failed := [job for job in given.submit if not submit(job, of_each)]:
        raise SystemExit(f"{len(failed)} of {len(given.submit)} jobs were not submitted")


def submit(job: str, options: Sequence[str]) -> bool:
    """Submit a job; whether that was done. Why not is printed."""
    name, *its_own = shlex.split(job)
    layer, _, exchange = name.partition("-")
    say("begin", name)
    try:
        LAYERS[layer]([*(["--exchange", exchange] if exchange else []), *its_own, *options])
    except SystemExit:  # it has said why
        done = False
    except Exception:
        traceback.print_exc(file=sys.stdout)
        done = False
    else:
        done = True
    say("submitted" if done else "failed", name)
    return done


def say(what: str, name: str) -> None:
    """For who reads along: what is printed between the first of a job's two lines and the second is of that job."""
    sys.stderr.flush()
    print(f"several: {what} {name}", flush=True)


if __name__ == "__main__":
    main()

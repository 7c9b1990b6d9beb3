"""What every job does before and after its wiring: arguments, settings, the two promises (state is not lost, nothing is updated)."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx
from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import ExplainDetail, StatementSet, StreamTableEnvironment
from pyflink.util.java_utils import get_field_value

import sql
from conf.settings import PIPELINE, Job, Settings, SettingsError, default_environment, flink_duration, is_loopback, load
from flink_jobs.graph import Labels, execute

# One file a split: Iceberg 1.11.0 reads wrongly from the middle of a split of several files. Only hints are heard, not table properties.
ICEBERG_SOURCE = {
    "streaming": "true",
    "starting-strategy": "TABLE_SCAN_THEN_INCREMENTAL",
    "split-file-open-cost": "134217728",
    "max-planning-snapshot-count": "10",
}
NEVER = "2147483647"
STATE_PATH = "execution.state-recovery.path"
ICEBERG_RATE_LIMIT = timedelta(minutes=1)
"""How often Iceberg looks for maintenance to do, unless told otherwise."""
ENDED = ("FINISHED", "CANCELED", "FAILED", "SUSPENDED")


@dataclass(frozen=True)
class Run:
    """One run of a job: its stable name, what it works with, and the environments that it is wired in."""

    name: str
    exchange: str
    settings: Settings
    env: StreamExecutionEnvironment
    tables: StreamTableEnvironment

    def table(self, name: str) -> str:
        return f"{self.settings.environment.catalog.name}.{self.settings.pipeline.database}.{name}"


@dataclass(frozen=True)
class Wiring:
    """What a job reads and writes.

    Attributes:
        sources: what it reads, in the order of its statements.
        target: the table that nobody else writes.
        labels: what its operators are called (see `graph`).
        shared: tables that others write too -> the values of columns by which its own rows are known.
    """

    sources: Sequence[str]
    target: str
    labels: Labels
    shared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parser(layer: str, what: str) -> argparse.ArgumentParser:
    """The options that all jobs share; `what` is the job in one sentence."""
    options = argparse.ArgumentParser(prog=f"{layer}.py", description=what)
    options.add_argument("--conf", type=Path, default=PIPELINE, help="what the pipeline does (default: the packaged conf/pipeline.yaml)")
    options.add_argument(
        "--environment",
        type=Path,
        default=default_environment(),
        help="where it runs: addresses of Kafka, registry, catalog, object store and Flink (default: $TRADELAKE_ENVIRONMENT, "
        "or environment.yaml in $TRADELAKE_HOME)",
    )
    options.add_argument(
        "--parallelism", type=int, default=None, metavar="N", help="tasks of each operator, for this run (default: the pipeline file's)"
    )
    options.add_argument(
        "--from-state", default="", metavar="PATH", help="the savepoint or checkpoint to start from; the same as `flink run -s PATH`"
    )
    options.add_argument(
        "--leave-state",
        action="store_true",
        help="leave behind state of operators that the job has no more; the same as `flink run --allowNonRestoredState`",
    )
    options.add_argument(
        "--fresh-state",
        action="store_true",
        help="start without state although the job's table already has rows: everything is read again from the beginning",
    )
    return options


def with_exchange(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    options.add_argument("--exchange", required=True, help="whose trades, as named in the pipeline file (binance, kraken, ...)")
    return options


def start(options: argparse.ArgumentParser, layer: str, argv: Sequence[str] | None) -> tuple[Run, argparse.Namespace]:
    """Read and check the settings and open the environments; wrong settings end the program before anything is submitted."""
    given = options.parse_args(argv)
    try:
        settings = load(given.conf, given.environment)
        if exchange := getattr(given, "exchange", ""):
            settings.pipeline.exchange(exchange)
    except SettingsError as error:
        refuse(str(error))
    name = f"{layer}-{exchange}" if exchange else layer
    env = StreamExecutionEnvironment.get_execution_environment()
    job: Job = getattr(settings.pipeline.jobs, layer)
    if given.parallelism is not None and not 1 <= given.parallelism <= job.max_parallelism:
        refuse(f"--parallelism {given.parallelism}: {name} can have 1 to {job.max_parallelism} (jobs.{layer}.max_parallelism)")
    env.configure(_configuration(name, job, settings, given))
    env.get_config().set_global_job_parameters(_shown(name, job, settings, given.conf))
    tables = StreamTableEnvironment.create(env)
    try:
        tables.execute_sql(_catalog_statement(settings))
    except Exception as error:  # of PyFlink, or of Py4J: as they are, they show all options of the catalog
        refuse(f"the catalog at {settings.environment.catalog.uri} cannot be opened: {sql.cause(error)}")
    return Run(name, exchange, settings, env, tables), given


def finish(run: Run, statements: StatementSet, wiring: Wiring, fresh_state: bool) -> None:
    """Submit the job, unless that would break a promise."""
    recovered = _recovered(run.env)
    if not recovered:
        refuse_lost_state(run, wiring, fresh_state)
    refuse_updates(run, statements)
    if not recovered:
        warn_of_a_twin(run)
    execute(run.env, run.name, statements, wiring.sources, wiring.labels)
    print(f"{run.name} is submitted")


def refuse(message: str) -> NoReturn:
    print(f"refused: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def refuse_lost_state(run: Run, wiring: Wiring, fresh_state: bool) -> None:
    """A job without state reads everything again, and would write all of it a second time."""
    if fresh_state or _restored_from(run.env):
        return
    tables = {wiring.target: {}, **wiring.shared}
    written = [table for table, its_own in tables.items() if _has_rows(run, table, its_own)]
    if not written:
        return
    refuse(
        f"{run.name} would start without state while {run.settings.pipeline.database}.{written[0]} has its rows: "
        "they would be written again.\n"
        f"Resume it: `tradelake submit {run.name}`, or `flink run -s PATH`; its checkpoints and savepoints stand below "
        f"{run.settings.environment.flink.state}.\nOr insist: --fresh-state."
    )


def refuse_updates(run: Run, statements: StatementSet) -> None:
    """Iceberg's sink writes every kind of change as an insert: a plan with updates would double rows in silence."""
    plan = statements.explain(ExplainDetail.CHANGELOG_MODE)
    # A sink itself emits nothing: NONE.
    changes = [line.strip() for line in plan.splitlines() if set(re.findall(r"changelogMode=\[(.*?)\]", line)) - {"I", "NONE"}]
    if changes or "changelogMode=[I]" not in plan:
        refuse(f"the plan of {run.name} is not insert-only:\n" + "\n".join(changes))


def require_tables(run: Run, *names: str) -> None:
    """Refuse, before anything is planned, a job one of whose tables does not exist."""
    catalog = _catalog(run)
    missing = [name for name in names if not catalog.tableExists(_identifier(run, name))]
    if missing:
        refuse(
            f"{run.settings.pipeline.database} at {run.settings.environment.catalog.uri} has no table {', '.join(missing)}; "
            "`tradelake tables create` makes them"
        )


def warn_of_a_twin(run: Run) -> None:
    """Say so where the cluster of the environment's file already runs a job of this name; one that does not answer is not asked twice."""
    rest = run.settings.environment.flink.rest.rstrip("/")
    try:
        jobs = httpx.get(f"{rest}/jobs/overview", timeout=3, trust_env=not is_loopback(httpx.URL(rest).host)).json()["jobs"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        return
    for job in jobs:
        if job["name"] == run.name and job["state"] not in ENDED:
            print(
                f"warning: {run.name} runs already, as {job['jid']}. Two of them write every row twice: stop one "
                f"(`tradelake stop {run.name}`, or {rest}/#/job/running/{job['jid']}/overview)",
                file=sys.stderr,
                flush=True,
            )


def source_options(monitor_interval: timedelta) -> dict[str, str]:
    return {**ICEBERG_SOURCE, "monitor-interval": flink_duration(monitor_interval)}


def sink_options(run: Run, table: str, expire: bool = True, part: str = "") -> dict[str, str]:
    """Hints of an Iceberg sink; `expire` where this is the one that drops the table's old snapshots.

    A job may write a table by several sinks, each a `part` of its own: rows that come by different ways are not brought together first.

    Expiry that is switched off keeps its operators, and never finds anything to do: without them the state of a job with them does not fit.
    """
    expiry = run.settings.pipeline.expiry
    options = {"uid-suffix": "-".join(filter(None, (run.name, table, part)))}
    if expire:
        wanted = (_seconds(expiry.max_age), str(expiry.retain_last), _seconds(expiry.every))
        max_age, retain_last, every = wanted if expiry.enabled else (NEVER, NEVER, NEVER)
        options |= {
            "flink-maintenance.expire-snapshots.enabled": "true",
            "flink-maintenance.expire-snapshots.max-snapshot-age-seconds": max_age,
            "flink-maintenance.expire-snapshots.retain-last": retain_last,
            "flink-maintenance.expire-snapshots.schedule.interval-second": every,
            # The default unless `every` is shorter. Never longer: the next time stands in the state, and a new setting would wait for it.
            "flink-maintenance.rate-limit-seconds": _seconds(min(expiry.every, ICEBERG_RATE_LIMIT)),
            # By time alone; the defaults also act on every 10th commit.
            "flink-maintenance.expire-snapshots.schedule.commit-count": NEVER,
            "flink-maintenance.expire-snapshots.schedule.data-file-count": NEVER,
        }
        if run.settings.environment.flink.zookeeper:
            # Iceberg's other lock lives in the JobManager, where a job that ends takes those of all others with it.
            options |= {
                "flink-maintenance.lock.type": "zookeeper",
                "flink-maintenance.lock.zookeeper.uri": run.settings.environment.flink.zookeeper,
            }
    return options


def _seconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds()))


def _configuration(name: str, job: Job, settings: Settings, given: argparse.Namespace) -> Configuration:
    state = settings.environment.flink.state.rstrip("/")
    values = {
        "pipeline.name": name,
        "parallelism.default": str(given.parallelism or job.parallelism),
        "pipeline.max-parallelism": str(job.max_parallelism),
        "execution.checkpointing.interval": flink_duration(job.checkpoint_interval),
        "execution.checkpointing.dir": f"{state}/checkpoints/{name}",
        "execution.checkpointing.savepoint-dir": f"{state}/savepoints/{name}",
        "table.local-time-zone": "UTC",
        "table.exec.iceberg.use-v2-sink": "true",
        "pipeline.object-reuse": "true",
    }
    if given.from_state:
        values[STATE_PATH] = given.from_state
    if given.leave_state:
        values["execution.state-recovery.ignore-unclaimed-state"] = "true"
    configuration = Configuration()
    for key, value in values.items():
        configuration.set_string(key, value)
    return configuration


def _shown(name: str, job: Job, settings: Settings, conf: Path) -> dict[str, str]:
    """What Flink's web UI shows as the job's parameters. Addresses stay out: their options may hold secrets."""
    limits = settings.pipeline.limits
    shown = {"job": name, "conf": str(conf), "database": settings.pipeline.database}
    shown |= {key: flink_duration(value) if isinstance(value, timedelta) else str(value) for key, value in job.model_dump().items()}
    return shown | {f"limits.{key}": flink_duration(value) for key, value in limits.model_dump().items()}


def _catalog_statement(settings: Settings) -> str:
    environment = settings.environment
    return sql.statements("catalog", name=environment.catalog.name, properties=sql.options(environment.catalog_properties()))[0]


def _restored_from(env: StreamExecutionEnvironment) -> str:
    """The savepoint or checkpoint that it starts from, or nothing."""
    configuration = Configuration(j_configuration=env._j_stream_execution_environment.getConfiguration())
    return str(configuration.get_string(STATE_PATH, ""))


def _recovered(env: StreamExecutionEnvironment) -> bool:
    """Whether the JobManager has this job already, with its state.

    One that runs a single application runs the application's program again when it recovers, and then ignores what the program submits; a
    program that refuses would end the job. Nothing public tells the two runs apart (Flink 2.1.3).
    """
    loader = get_field_value(env._j_stream_execution_environment, "executorServiceLoader")
    if loader.getClass().getSimpleName() != "EmbeddedExecutorServiceLoader":
        return False
    return not get_field_value(loader, "submittedJobIds").isEmpty()


def _has_rows(run: Run, name: str, where: Mapping[str, str]) -> bool:
    """Whether a table has rows; `where` is asked of the bounds of its files only, which may say yes too often, never no."""
    table = _catalog(run).loadTable(_identifier(run, name))
    snapshot = table.currentSnapshot()
    if snapshot is None or int(snapshot.summary().get("total-records") or 0) == 0:
        return False
    scan = table.newScan()
    for column, value in where.items():
        scan = scan.filter(_iceberg().expressions.Expressions.equal(column, value))
    files = scan.planFiles()
    try:
        return bool(files.iterator().hasNext())
    finally:
        files.close()


def _catalog(run: Run) -> Any:
    environment = run.settings.environment
    hadoop = get_gateway().jvm.org.apache.hadoop.conf.Configuration()
    loader = _iceberg().flink.CatalogLoader.rest(environment.catalog.name, hadoop, environment.catalog_properties())
    return loader.loadCatalog()


def _identifier(run: Run, table: str) -> Any:
    return _iceberg().catalog.TableIdentifier.parse(f"{run.settings.pipeline.database}.{table}")


def _iceberg() -> Any:
    return get_gateway().jvm.org.apache.iceberg

"""Flink's REST API, as far as the command line needs it."""

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from conf.settings import is_loopback
from tradelake.console import Failure

ALIVE = {"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "CANCELLING", "SUSPENDED", "RECONCILING"}


@dataclass(frozen=True)
class FlinkJob:
    """One job of the cluster. `tasks` counts its tasks by state, `total` included."""

    id: str
    name: str
    state: str
    tasks: dict[str, int]

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    @property
    def running(self) -> bool:
        """Whether every task runs: the job's own RUNNING also covers tasks that wait for slots."""
        return self.state == "RUNNING" and self.tasks.get("running") == self.tasks.get("total")


class FlinkRest:
    """A thin client. A cluster that does not answer is asked again for `patience` seconds: a JobManager may be changing over."""

    def __init__(self, url: str, patience: float = 30) -> None:
        self.url = url.rstrip("/")
        # A proxy of the surroundings would be asked for 127.0.0.1 too.
        self._client = httpx.Client(base_url=self.url, timeout=10, trust_env=not is_loopback(httpx.URL(self.url).host))
        self._patience = patience

    def jobs(self) -> list[FlinkJob]:
        return [FlinkJob(j["jid"], j["name"], j["state"], j["tasks"]) for j in self.get("/jobs/overview")["jobs"]]

    def alive(self, name: str) -> FlinkJob | None:
        return next((job for job in self.jobs() if job.name == name and job.alive), None)

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        return self.get(f"/jobs/{job_id}/checkpoints")

    def stop_with_savepoint(self, job_id: str, folder: str) -> str:
        """Begin to stop a job with a savepoint below `folder`; the trigger's id."""
        return self._trigger(f"/jobs/{job_id}/stop", {"drain": False, "formatType": "NATIVE", "targetDirectory": folder})

    def savepoint(self, job_id: str, folder: str, form: str) -> str:
        """Begin a savepoint below `folder`, in the `NATIVE` or `CANONICAL` format, of a job that goes on; the trigger's id."""
        return self._trigger(f"/jobs/{job_id}/savepoints", {"cancel-job": False, "formatType": form, "target-directory": folder})

    def _trigger(self, path: str, body: dict[str, Any]) -> str:
        """The id is ours, so that asking again after a lost answer triggers nothing again."""
        return str(self._send("POST", path, json={**body, "triggerId": uuid.uuid4().hex})["request-id"])

    def cancel(self, job_id: str) -> None:
        """Begin to cancel a job, without a savepoint."""
        self._send("PATCH", f"/jobs/{job_id}?mode=cancel")

    def page(self, job_id: str, tab: str = "overview", *, ended: bool = False) -> str:
        """The address of a job's page in Flink's web UI."""
        return f"{self.url}/#/job/{'completed' if ended else 'running'}/{job_id}/{tab}"

    def savepoint_status(self, job_id: str, trigger: str) -> dict[str, Any]:
        return self.get(f"/jobs/{job_id}/savepoints/{trigger}")

    def get(self, path: str) -> dict[str, Any]:
        return self._send("GET", path)

    def _send(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        retrying = Retrying(
            retry=retry_if_exception_type((httpx.TransportError, _Unavailable)),
            stop=stop_after_delay(self._patience),
            wait=wait_fixed(0.5),
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, **arguments)
        except (httpx.TransportError, _Unavailable) as error:
            raise Failure(f"Flink does not answer at {self.url}; is the stack up? `tradelake status` shows it") from error

    def _once(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        response = self._client.request(method, path, **arguments)
        if response.status_code >= 500:
            raise _Unavailable
        if response.status_code >= 400:
            raise Failure(f"Flink refuses {method} {path}: {response.text[:300]}")
        answer: dict[str, Any] = response.json()
        return answer


class _Unavailable(Exception):
    """The cluster answers that it cannot answer now."""

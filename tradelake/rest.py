"""Flink's REST API, as far as the command line needs it."""

from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

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
        self._client = httpx.Client(base_url=self.url, timeout=10)
        self._patience = patience

    def jobs(self) -> list[FlinkJob]:
        return [FlinkJob(j["jid"], j["name"], j["state"], j["tasks"]) for j in self.get("/jobs/overview")["jobs"]]

    def alive(self, name: str) -> FlinkJob | None:
        return next((job for job in self.jobs() if job.name == name and job.alive), None)

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        return self.get(f"/jobs/{job_id}/checkpoints")

    def stop_with_savepoint(self, job_id: str, folder: str) -> str:
        """Begin to stop a job with a savepoint below `folder`; the trigger's id."""
        answer = self._send("POST", f"/jobs/{job_id}/stop", json={"drain": False, "formatType": "NATIVE", "targetDirectory": folder})
        return str(answer["request-id"])

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

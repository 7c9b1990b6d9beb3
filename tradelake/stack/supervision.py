"""supervisord, which keeps the parts running: a dead one is started again, each time a second later than the last."""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from tradelake.console import Failure
from tradelake.stack.part import ENCODING, Part
from tradelake.stack.processes import PART, environment

LONGEST_SOCKET_PATH = 90
INHERITED = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR")
CONFIGURATION = "supervisord.conf"
UNREACHABLE = (OSError, HTTPException)


def socket_path(home: Path) -> Path:
    """The supervisor's socket: in the home, or, since the system allows about 100 characters, in a private temporary folder."""
    inside = home / "supervisor.sock"
    if len(str(inside).encode()) <= LONGEST_SOCKET_PATH and re.fullmatch(r"[\w./-]+", str(inside), re.ASCII):
        return inside
    folder = Path(tempfile.gettempdir()) / f"tradelake-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise Failure(f"{folder} belongs to another user; set TMPDIR to a folder of your own")
    return folder / f"{hashlib.sha256(str(home).encode()).hexdigest()[:12]}.sock"


def program(part: Part, command: Iterable[str]) -> str:
    options = {
        "command": shlex.join(command).replace("%", "%%"),
        "environment": f"{PART}={part.name}",
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "3",
        "startretries": "1000000",
        "stopwaitsecs": "30",
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"logs/{part.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }
    return "\n".join([f"[program:{part.name}]", *(f"{key}={value}" for key, value in options.items())])


def configuration(home: Path, commands: dict[Part, list[str]]) -> str:
    """`supervisord.conf`. It holds no secret: parts read theirs from files. Its paths are those of the home, where supervisord runs."""
    head = (
        "[supervisord]", "nodaemon=true", "silent=true", "identifier=tradelake", "childlogdir=logs",
        "pidfile=supervisord.pid", "logfile=logs/supervisord.log", "logfile_maxbytes=5MB", "logfile_backups=1", "",
        "[unix_http_server]", f"file={socket_path(home)}", "chmod=0700", "",
        "[rpcinterface:supervisor]", "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface", "",
    )  # fmt: skip
    return "\n".join([*head, *(program(part, command) + "\n" for part, command in commands.items())])


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one home. Each call opens a connection of its own, so that threads may share it."""

    home: Path

    def call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{socket_path(self.home)}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def running(self) -> bool:
        try:
            return bool(self.call("getState")["statename"] == "RUNNING")
        except UNREACHABLE:
            return False

    def launch(self, commands: dict[Part, list[str]]) -> None:
        """Start supervisord, cut off from the caller's terminal, pipes and locks.

        Raises:
            Failure: it does not come up.
        """
        (self.home / CONFIGURATION).write_text(configuration(self.home, commands), encoding="utf-8")
        variables = {name: os.environ[name] for name in INHERITED if name in os.environ} | ENCODING
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        for part in commands:
            variables |= part.environment  # inherited by the parts; in the file, supervisord would need them quoted its own way
        output = self.home / "logs" / "supervisord.out"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-c", CONFIGURATION],
                env=variables | environment(self.home, "supervisord"),
                cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        while not self.running():
            if process.poll() is not None:
                raise Failure(f"the supervisor does not start: {' '.join(output.read_text(errors='replace').split())[-300:]}")
            time.sleep(0.1)

    def states(self) -> dict[str, dict[str, Any]]:
        """What supervisord says of each part; nothing when it does not run."""
        try:
            return {info["name"]: info for info in self.call("getAllProcessInfo")}
        except UNREACHABLE:
            return {}

    def start(self, part: str) -> None:
        """Raises:
        Failure: the supervisor does not start it; that it runs already is none.
        """
        try:
            self.call("startProcess", part, False)
        except Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise Failure(f"the supervisor does not start {part}: {fault.faultString} (`tradelake logs supervisord`)") from fault

    def stop(self, part: str) -> None:
        with suppress(Fault, *UNREACHABLE):  # it is stopped already
            self.call("stopProcess", part)

    def shutdown(self) -> None:
        with suppress(Fault, *UNREACHABLE):
            self.call("shutdown")

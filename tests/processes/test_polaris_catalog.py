"""docker/polaris_catalog.py, which compose mounts, against a server that answers as Polaris's API says. Polaris itself is not here."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from tests.conftest import ROOT

SECRET, TOKEN = "the-secret", "a-token"
CATALOGS = "/api/management/v1/catalogs"
GRANTS = f"{CATALOGS}/tradelake/catalog-roles/catalog_admin/grants"


class Polaris(ThreadingHTTPServer):
    """Catalogs by name, and what each one's administrators were granted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.catalogs: dict[str, dict[str, object]] = {}
        self.granted: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Polaris

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/api/catalog/v1/oauth/tokens":
            form = {name: value for name, (value,) in parse_qs(body).items()}
            known = form == {
                "grant_type": "client_credentials",
                "client_id": "root",
                "client_secret": SECRET,
                "scope": "PRINCIPAL_ROLE:ALL",
            }
            self.answer(200, {"access_token": TOKEN}) if known else self.answer(401, {})
        elif self.path == CATALOGS and self.let_in():
            catalog = json.loads(body)["catalog"]
            exists = catalog["name"] in self.server.catalogs
            self.server.catalogs.setdefault(catalog["name"], catalog)
            self.answer(409 if exists else 201, {})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == GRANTS and self.let_in():
            self.server.granted.append(body["grant"])
            self.answer(201, {})

    def let_in(self) -> bool:
        if self.headers["Authorization"] == f"Bearer {TOKEN}":
            return True
        self.answer(401, {})
        return False

    def answer(self, status: int, content: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def polaris() -> Iterator[Polaris]:
    server = Polaris()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(address: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docker" / "polaris_catalog.py")]
    variables = {"POLARIS": address, "POLARIS_SECRET": secret, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_it_makes_the_catalog_and_lets_its_administrators_write_once_and_again(polaris: Polaris) -> None:
    for _ in range(2):
        ran = run(polaris.address)
        assert (ran.returncode, ran.stdout) == (0, "Polaris has the catalog tradelake\n"), ran.stderr
    assert list(polaris.catalogs) == ["tradelake"]
    assert polaris.catalogs["tradelake"]["properties"] == {"default-base-location": "s3://tradelake/"}
    assert polaris.granted == [{"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}] * 2


def test_a_wrong_secret_is_one_line_without_it(polaris: Polaris) -> None:
    ran = run(polaris.address, "another")
    assert (ran.returncode, ran.stdout, polaris.catalogs) == (1, "", {})
    assert ran.stderr.startswith(f"Polaris at {polaris.address}: ")
    assert "another" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_server_that_is_not_there_is_one_line() -> None:
    ran = run("http://127.0.0.1:1")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1), ran.stderr

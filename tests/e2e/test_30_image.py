"""What the image is made of, without Docker: its install script, run in an empty folder on what goes to the engine, and its entry point."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tradelake.jars import cache_folder, load_lock

PACKAGES_STAGE = ("docker/install.sh", "build-constraints.txt", "requirements-runtime.lock")
NETWORK = re.compile("(UV|PIP|SSL|REQUESTS|HTTPS?|NO|ALL)_|TRADELAKE_MAVEN_REPOSITORY", re.IGNORECASE)
"""Variables that say how this machine reaches the package index and the jars."""


class Installed(NamedTuple):
    prefix: Path
    flink: Path
    folder: Path

    @property
    def packages(self) -> Path:
        (folder,) = self.prefix.glob("lib/python3.*/site-packages")
        return folder

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the entry point with the image's variables."""
        image = {
            "FLINK_HOME": str(self.flink),
            "FLINK_PLUGINS_DIR": f"{self.flink}/plugins",
            "JAVA_HOME": f"{self.prefix}/java",
            "PATH": f"{self.prefix}/bin:{self.flink}/bin:{self.prefix}/java/bin:/usr/bin:/bin",
            "TRADELAKE_HOME": str(self.folder / "home"),
            "TRADELAKE_ENVIRONMENT": str(ROOT / "conf" / "environments" / "compose.yaml"),
            "HOME": str(self.folder / "home"),
            "HOSTNAME": "c0ffee",
            "LC_ALL": "C.UTF-8",
        }
        entry = [str(ROOT / "docker" / "entrypoint.sh"), *command]
        return subprocess.run(entry, cwd=self.folder, env=image | variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What the script makes with an empty home, no compiler, and nothing of this checkout but what goes to the engine."""
    folder = tmp_path_factory.mktemp("image")
    context, first = folder / "context", folder / "packages"
    for name in (line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")):
        copy(name, context)
    for name in PACKAGES_STAGE:
        copy(name, first)
    (folder / "home").mkdir()
    prefix, flink = folder / "opt" / "tradelake", folder / "opt" / "flink"
    install(folder, first / "docker" / "install.sh", "packages", first, prefix)
    install(folder, context / "docker" / "install.sh", "tradelake", context, prefix, flink)
    shutil.rmtree(context)
    return Installed(prefix, flink, folder)


def copy(name: str, target: Path) -> None:
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / name).is_dir():
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(ROOT / name, target / name)


def install(folder: Path, *command: object) -> None:
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    environment = {name: value for name, value in os.environ.items() if NETWORK.match(name)} | {
        "PATH": f"{Path(uv).parent}:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "CC": "/bin/false",
        "UV_PYTHON": str(Path(sys.executable).resolve()),
        "UV_CACHE_DIR": subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip(),
        "TRADELAKE_CACHE": str(cache_folder()),
    }
    run = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_packages_are_those_of_the_lock_and_ours(installed: Installed) -> None:
    lines = re.findall(r"^([a-z0-9][^\\\n]*==[^\\\n]*)", (ROOT / "requirements-runtime.lock").read_text(), re.MULTILINE)
    wanted = [requirement for line in lines if not (requirement := Requirement(line)).marker or requirement.marker.evaluate()]
    found = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions(path=[str(installed.packages)])}
    assert found.pop("tradelake")
    assert found == {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in wanted}


def test_flink_has_its_jars_and_plugins_and_none_of_the_other_servers(installed: Installed) -> None:
    lock = load_lock()
    (plugin,) = lock.sets["flink-s3-plugin"]
    places = {
        "lib": lock.sets["flink-lib"],
        "opt": lock.sets["flink-opt"],
        "agent": lock.sets["flink-agent"],
        "plugins/s3-fs-hadoop": [plugin],
    }
    for place, artifacts in places.items():
        for artifact in artifacts:
            assert artifact.fits(installed.flink / place / artifact.filename), artifact
    names = {file.name for file in (installed.flink / "lib").iterdir()}
    assert "flink-python-2.1.3.jar" in names
    others = {artifact.filename for artifact in lock.artifacts} - {artifact.filename for artifact in lock.of_flink().artifacts}
    assert not others & {file.name for file in installed.prefix.rglob("*.jar")}


def test_nothing_points_out_of_what_is_copied_into_the_image(installed: Installed) -> None:
    """But for the Python that both stages of the image have."""
    links = {link: link.resolve() for link in installed.prefix.rglob("*") if link.is_symlink()}
    outside = {link for link, target in links.items() if not target.is_relative_to(installed.prefix)}
    assert {link.name for link in outside} <= {"python", "python3", Path(sys.executable).resolve().name}
    assert all(target.exists() for target in links.values())


def test_any_other_command_runs_untouched(installed: Installed) -> None:
    ran = installed.run("bash", "-c", "command -v kubernetes-jobmanager.sh flink java python; echo ${FLINK_CONF_DIR-unset}")
    assert ran.stdout.split() == [
        f"{installed.flink}/bin/kubernetes-jobmanager.sh",
        f"{installed.prefix}/bin/flink",
        f"{installed.prefix}/java/bin/java",
        f"{installed.prefix}/bin/python",
        "unset",
    ]
    assert not (installed.folder / "home" / "flink").exists()


def test_clients_run(installed: Installed) -> None:
    assert re.fullmatch(r"tradelake, version \S+\n", installed.run("tradelake", "--version").stdout)
    assert "Version: 2.1.3" in installed.run("flink", "--version").stdout


def test_flink_accepts_the_configuration_that_the_entry_point_writes(installed: Installed) -> None:
    """Flink's own scripts read it, and derive the memory of both servers from it."""
    installed.run("flink", "--version")
    conf = installed.folder / "home" / "flink" / "conf"
    script = '. "$0"; parseJmArgsAndExportLogs; jm=$JVM_ARGS; JVM_ARGS=; parseTmArgsAndExportLogs; echo "$jm|$JVM_ARGS"'
    ran = installed.run("bash", "-c", script, f"{installed.flink}/bin/config.sh", FLINK_CONF_DIR=str(conf))
    jobmanager, taskmanager = ran.stdout.splitlines()[-1].split("|")
    assert re.findall("-Xmx[0-9]+", jobmanager) == [f"-Xmx{384 << 20}"]
    assert f"-XX:MaxMetaspaceSize={320 << 20}" in taskmanager
    config = yaml.safe_load((conf / "config.yaml").read_text())
    assert config["python.executable"] == f"{installed.prefix}/bin/python"
    assert config["taskmanager.host"] == "c0ffee"


def test_the_rules_of_the_taskmanagers_agent_fit_its_classes(installed: Installed) -> None:
    installed.run("flink", "--version")
    conf = installed.folder / "home" / "flink" / "conf"
    option = yaml.safe_load((conf / "config.yaml").read_text())["env.java.opts.taskmanager"]
    named = re.fullmatch(r"-javaagent:(\S+)=script:(\S+)", option)
    assert named
    agent, rules = named.groups()
    ran = installed.run("java", "-cp", f"{agent}:{installed.flink}/lib/*", "org.jboss.byteman.check.TestScript", rules)
    assert (ran.returncode, "TestScript: no errors" in ran.stdout, ran.stdout.count("Type checked rule")) == (0, True, 2), ran.stdout


def test_the_entry_point_says_what_is_missing(installed: Installed) -> None:
    ran = installed.run("jobmanager", TRADELAKE_ENVIRONMENT="/etc/none.yaml")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("tradelake: /etc/none.yaml: no such file")


def test_a_client_runs_where_no_session_cluster_is(installed: Installed) -> None:
    environment = str(ROOT / "conf" / "environments" / "kubernetes.yaml")
    ran = installed.run("tradelake", "tables", "create", TRADELAKE_ENVIRONMENT=environment)
    assert ran.returncode == 1
    assert ran.stderr.startswith("tradelake: the catalog at http://catalog.lake:8181")


def test_without_a_command_it_explains_itself(installed: Installed) -> None:
    assert "Usage: tradelake" in installed.run().stdout

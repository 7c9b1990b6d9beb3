"""The manifests of kubernetes/ keep their promises, as far as that can be seen without a cluster."""

import re
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec

import pytest
import yaml

from conf.settings import PIPELINE, load_environment, load_pipeline
from tests.unit.deploy.compose import ROOT, read
from tests.unit.deploy.flink_deployment import FOLDER, FlinkDeployment, deployments, documents, kustomization
from tradelake.stack.flink_configuration import fill_in

RESERVED = ("taskmanager.memory.jvm-metaspace.size", "taskmanager.memory.managed.size", "taskmanager.memory.network.max")
DEFAULTS = 192 + 128 + 128
"""MB of a TaskManager that Flink takes unless it is told otherwise: JVM overhead, the framework's heap and off-heap."""
ELSEWHERE = re.compile(
    r"env\.log|env\.pid|env\.java\.opts\.client|rest\.(bind-)?(address|port)|rest\.profiling\.dir|jobmanager\.(rpc|bind-host|resource-id)|blob\.|"
    r"taskmanager\.(host|bind-host|rpc|data|resource-id)|high-availability|.*\.memory\.|taskmanager\.numberOfTaskSlots|parallelism\.default|"
    r"execution\.checkpointing\.(savepoint-)?dir|web\.(upload\.dir|tmpdir)|python\.(client\.)?executable"
)
"""What a pod's Flink is told by the operator, or by its own size, differently."""

every_deployment = pytest.mark.parametrize("deployment", deployments().values(), ids=deployments().keys())


def test_there_is_a_deployment_for_every_job() -> None:
    assert list(deployments()) == load_pipeline().job_names()


@every_deployment
def test_the_arguments_are_those_of_the_job(deployment: FlinkDeployment) -> None:
    """The job's own parser takes them, and makes the deployment's name of them."""
    flag, module, *arguments = deployment.spec.job.args
    assert flag == "-pym"
    assert find_spec(module)
    layer = module.removeprefix("flink_jobs.")
    jobs = import_module("flink_jobs.job")
    options = jobs.parser(layer, "")
    given = (options if layer == "gold" else jobs.with_exchange(options)).parse_args(arguments)
    assert deployment.metadata.name == (layer if layer == "gold" else f"{layer}-{given.exchange}")
    mounted = {variable.name: variable.value for variable in deployment.spec.podTemplate.spec.containers[0].env}
    assert (str(given.conf), str(given.environment)) == (mounted["TRADELAKE_CONF"], mounted["TRADELAKE_ENVIRONMENT"])
    assert not given.fresh_state


@every_deployment
def test_the_parallelism_is_the_pipelines_and_has_its_slots(deployment: FlinkDeployment) -> None:
    layer = deployment.metadata.name.split("-")[0]
    assert deployment.spec.job.parallelism == getattr(load_pipeline().jobs, layer).parallelism
    assert int(deployment.spec.flinkConfiguration["taskmanager.numberOfTaskSlots"]) >= 1


@every_deployment
def test_the_memory_of_a_taskmanager_adds_up(deployment: FlinkDeployment) -> None:
    """What is left for the job's own heap, with RocksDB and the Python worker inside task.off-heap."""
    fixed = DEFAULTS + sum(deployment.memory(key) for key in RESERVED)
    off_heap = deployment.memory("taskmanager.memory.task.off-heap.size")
    heap = deployment.spec.taskManager.resource.megabytes - fixed - off_heap
    assert heap >= 384
    python = 256 if deployment.metadata.name.startswith("silver") else 0
    assert off_heap >= deployment.memory("state.backend.rocksdb.memory.fixed-per-tm") + python + 64


@every_deployment
def test_the_configuration_is_the_local_stacks(deployment: FlinkDeployment) -> None:
    """conf/flink/config.yaml is the one truth; the manifests differ only in what a pod has of its own."""
    names = re.findall(r"\$\{(\w+)\}", (ROOT / "conf" / "flink" / "config.yaml").read_text())
    local = yaml.safe_load(fill_in(dict.fromkeys(set(names) - {"java_options", "python"}, "")))
    config = deployment.spec.flinkConfiguration
    wanted = {key: value for key, value in local.items() if not ELSEWHERE.match(key)}
    assert len(wanted) > 20
    assert {key: yaml.safe_load(config[key]) for key in wanted} == {
        key: yaml.safe_load(value) if isinstance(value, str) else value for key, value in wanted.items()
    }


@every_deployment
def test_state_is_where_the_environment_says(deployment: FlinkDeployment) -> None:
    environment, config = load_environment(ROOT / "conf" / "environments" / "kubernetes.yaml"), deployment.spec.flinkConfiguration
    state = environment.flink.state
    assert config["execution.checkpointing.savepoint-dir"] == f"{state}/savepoints/{deployment.metadata.name}"
    assert config["execution.checkpointing.dir"] == f"{state}/checkpoints"
    assert (config["high-availability.type"], config["high-availability.storageDir"]) == ("kubernetes", f"{state}/ha")
    assert (config["s3.endpoint"], config["s3.endpoint.region"]) == (environment.s3.endpoint, environment.s3.region)
    assert yaml.safe_load(config["s3.path.style.access"]) == environment.s3.path_style_access
    assert environment.flink.zookeeper is None


@every_deployment
def test_the_image_is_ours_and_holds_what_is_named(deployment: FlinkDeployment) -> None:
    spec = deployment.spec
    assert spec.image == read().services["jobmanager"].image
    version = re.search(r'"apache-flink==(\S+)"', (ROOT / "pyproject.toml").read_text())
    assert version
    assert spec.job.jarURI == f"local:///opt/flink/opt/flink-python-{version[1]}.jar"
    assert spec.flinkVersion == "v" + "_".join(version[1].split(".")[:2])
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {spec.podTemplate.spec.securityContext.runAsUser} " in dockerfile  # type: ignore[union-attr]
    assert (
        spec.flinkConfiguration["python.executable"] == spec.flinkConfiguration["python.client.executable"] == "/opt/tradelake/bin/python"
    )
    assert "/opt/tradelake /opt/flink" in dockerfile


def test_names_fit_together() -> None:
    accounts = documents("service-account.yaml")
    assert [(one["kind"], one["metadata"]["name"]) for one in accounts] == [
        ("ServiceAccount", "flink"),
        ("Role", "flink"),
        ("RoleBinding", "flink"),
    ]
    (maps,) = yaml.safe_load((ROOT / "conf" / "kustomization.yaml").read_text())["configMapGenerator"]
    for deployment in deployments().values():
        assert deployment.spec.serviceAccount == "flink"
        pod = deployment.spec.podTemplate.spec
        assert [volume.configMap.name for volume in pod.volumes] == [maps["name"]]
        mounts = {mount.name: mount.mountPath for mount in pod.containers[0].volumeMounts}
        assert {volume.name for volume in pod.volumes} == mounts.keys()
        files = {f"{mounts['settings']}/{file.split('=')[0]}" for file in maps["files"]}
        assert {variable.value for variable in pod.containers[0].env if variable.value.startswith("/")} == files
    (namespace,) = documents("namespace.yaml")
    assert namespace["metadata"]["name"] == kustomization()["namespace"]


def test_every_file_is_used_and_the_secret_is_no_part_of_it() -> None:
    listed = {
        *kustomization()["resources"],
        "kustomization.yaml",
        "object-store.example.yaml",
        *(one["path"] for one in kustomization()["patches"]),
    }
    assert {file.name for file in FOLDER.iterdir()} == listed - {"../conf"}
    (secret,) = documents("object-store.example.yaml")
    assert secret["stringData"] == {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    (reference,) = next(iter(deployments().values())).spec.podTemplate.spec.containers[0].envFrom
    assert reference.secretRef.name == secret["metadata"]["name"]
    text = "".join(file.read_text() for file in FOLDER.iterdir() if "example" not in file.name)
    assert not re.search(r"(?i)(secret|password|access.?key)[^\n]*: *[^\s{#]", text.replace("secretRef: {", ""))


def test_the_settings_files_are_accepted() -> None:
    load_environment(ROOT / "conf" / "environments" / "kubernetes.yaml")
    maps = yaml.safe_load((ROOT / "conf" / "kustomization.yaml").read_text())["configMapGenerator"]
    assert all((PIPELINE.parent / file.split("=")[-1]).is_file() for one in maps for file in one["files"])


@every_deployment
def test_the_log_is_that_of_the_local_stack(deployment: FlinkDeployment) -> None:
    """And holds no environment: Flink's own configuration would print it, the keys of the object store among it."""
    assert deployment.spec.logConfiguration == {"log4j-console.properties": (ROOT / "conf/flink/log4j-console.properties").read_text()}


def test_kustomize_renders_what_this_file_read() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")
    run = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rendered = list(yaml.safe_load_all(run.stdout))
    assert {one["metadata"].get("namespace", "tradelake") for one in rendered} == {"tradelake"}
    specs = {one["metadata"]["name"]: one["spec"] for one in rendered if one["kind"] == "FlinkDeployment"}
    assert specs == {name: one.spec.model_dump(exclude_unset=True) for name, one in deployments().items()}
    (settings,) = [one["data"] for one in rendered if one["kind"] == "ConfigMap"]
    assert settings["pipeline.yaml"] == PIPELINE.read_text()

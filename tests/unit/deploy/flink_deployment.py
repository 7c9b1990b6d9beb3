"""The manifests of kubernetes/, read strictly: the fields of the operator's CRD that we use, and nothing else. The API server drops what it
does not know without a word."""

from copy import deepcopy
from functools import cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.unit.deploy.compose import ROOT

FOLDER = ROOT / "kubernetes"
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*m$")]
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$")]
"""45 characters at most: Flink makes names of services from it."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: Name


class Resource(Strict):
    cpu: float
    memory: Memory

    @property
    def megabytes(self) -> int:
        return int(self.memory.removesuffix("m"))


class Variable(Strict):
    name: str
    value: str


class SecretReference(Strict):
    name: Name
    optional: bool


class VariablesOfSecret(Strict):
    secretRef: SecretReference


class VolumeMount(Strict):
    name: str
    mountPath: Annotated[str, Field(pattern=r"^/")]
    readOnly: Literal[True]


class Port(Strict):
    name: str
    containerPort: int


class Capabilities(Strict):
    drop: list[Literal["ALL"]]


class ContainerSecurity(Strict):
    allowPrivilegeEscalation: Literal[False]
    capabilities: Capabilities


class Container(Strict):
    name: Literal["flink-main-container"]
    securityContext: ContainerSecurity | None = None
    env: list[Variable] = []
    envFrom: list[VariablesOfSecret] = []
    volumeMounts: list[VolumeMount] = []
    ports: list[Port] = []


class ConfigMapReference(Strict):
    name: Name


class Volume(Strict):
    name: str
    configMap: ConfigMapReference


class Seccomp(Strict):
    type: Literal["RuntimeDefault"]


class PodSecurity(Strict):
    runAsNonRoot: Literal[True]
    runAsUser: int
    runAsGroup: int
    fsGroup: int
    seccompProfile: Seccomp


class PodSpec(Strict):
    securityContext: PodSecurity | None = None
    containers: list[Container]
    volumes: list[Volume] = []


class PodMetadata(Strict):
    annotations: dict[str, str]


class Pod(Strict):
    metadata: PodMetadata | None = None
    spec: PodSpec


class JobManager(Strict):
    replicas: int
    resource: Resource


class TaskManager(Strict):
    resource: Resource
    podTemplate: Pod


class Job(Strict):
    jarURI: str
    entryClass: Literal["org.apache.flink.client.python.PythonDriver"]
    args: list[str]
    parallelism: int
    state: Literal["running"]
    upgradeMode: Literal["savepoint"]
    allowNonRestoredState: Literal[False]


class Spec(Strict):
    image: str
    imagePullPolicy: Literal["IfNotPresent"]
    flinkVersion: Literal["v2_1"]
    mode: Literal["native"]
    serviceAccount: Name
    flinkConfiguration: dict[str, str]
    logConfiguration: dict[Literal["log4j-console.properties"], str]
    jobManager: JobManager
    taskManager: TaskManager
    podTemplate: Pod
    job: Job


class FlinkDeployment(Strict):
    apiVersion: Literal["flink.apache.org/v1beta1"]
    kind: Literal["FlinkDeployment"]
    metadata: Metadata
    spec: Spec

    def memory(self, key: str) -> int:
        """An option of Flink's memory, in MB."""
        return int(self.spec.flinkConfiguration[key].removesuffix("m"))


def documents(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8")))


def kustomization() -> dict[str, Any]:
    (content,) = documents("kustomization.yaml")
    return content


def merged(base: Any, patch: Any) -> Any:
    """A JSON merge patch, which is what kustomize applies to kinds that it has no schema of."""
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return deepcopy(patch)
    return {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}


@cache
def deployments() -> dict[str, FlinkDeployment]:
    """Every FlinkDeployment with the common patch, by name."""
    (common,) = documents("common.yaml")
    found = [
        one
        for resource in kustomization()["resources"]
        if resource.endswith(".yaml")
        for one in documents(resource)
        if one["kind"] == "FlinkDeployment"
    ]
    patched = [merged(one, {"spec": common["spec"]}) for one in found]
    return {one["metadata"]["name"]: FlinkDeployment.model_validate(one) for one in patched}

"""The schema registry: Apicurio, which speaks Confluent's API at `/apis/ccompat/v7`."""

import httpx

from tradelake.jar_placement import registry_folder
from tradelake.stack.part import JAVA, SMALL_JVM, Part, Site, answers, client
from tradelake.stack.ports import HOST

API = "/apis/ccompat/v7"


def registry(site: Site) -> Part:
    return Part(
        name="registry",
        address=site.ports.url("registry") + API,
        memory="heap 256 MB",
        prepare=lambda: prepare(site),
        ready=lambda: answers(f"{site.ports.url('registry-management')}/health/ready", 200),
        initialise=lambda: enforces_compatibility(site),
    )


def prepare(site: Site) -> list[str]:
    site.folder("registry")
    settings = {
        "quarkus.http.host": HOST,
        "quarkus.http.port": site.ports["registry"],
        "quarkus.management.host": HOST,
        "quarkus.management.port": site.ports["registry-management"],
        "quarkus.http.access-log.enabled": "false",
        "java.util.logging.manager": "org.jboss.logmanager.LogManager",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": "jdbc:h2:file:./registry/registry",
    }
    jar = registry_folder(site.jars) / "quarkus-run.jar"
    return [JAVA, *SMALL_JVM, "-Xmx256m", *(f"-D{key}={value}" for key, value in settings.items()), "-jar", str(jar)]


def enforces_compatibility(site: Site) -> bool:
    """Without a global rule Apicurio checks nothing when a schema is registered."""
    try:
        answer = client().put(site.ports.url("registry") + API + "/config", json={"compatibility": "BACKWARD"})
    except httpx.HTTPError:
        return False
    return answer.status_code == 200

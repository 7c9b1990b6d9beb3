"""The Iceberg REST catalog: Iceberg's own servlet over an SQLite file."""

from conf import FOLDER
from tradelake.stack.credentials import AWS_ENVIRONMENT
from tradelake.stack.part import JAVA, SIMPLE_LOG, SMALL_JVM, Part, Site, answers
from tradelake.stack.s3 import WAREHOUSE_BUCKET

WAREHOUSE = f"s3://{WAREHOUSE_BUCKET}/"
MAIN = "org.eclipse.jetty.xml.XmlConfiguration"
QUIET = "-Dorg.slf4j.simpleLogger.log.org.apache.iceberg=warn"  # else five lines for each commit


def catalog(site: Site) -> Part:
    return Part(
        name="catalog",
        address=site.ports.url("catalog"),
        memory="heap 256 MB",
        prepare=lambda: prepare(site),
        ready=lambda: answers(f"{site.ports.url('catalog')}/v1/config", 200),
        environment=environment(site),
    )


def prepare(site: Site) -> list[str]:
    (site.folder("catalog") / "server.xml").write_text(FOLDER.joinpath("catalog.xml").read_text(encoding="utf-8"), encoding="utf-8")
    return [JAVA, *SMALL_JVM, "-Xmx256m", *SIMPLE_LOG, QUIET, "-cp", site.jars.classpath("catalog"), MAIN, "catalog/server.xml"]


def environment(site: Site) -> dict[str, str]:
    """What `conf/catalog.xml` reads."""
    return AWS_ENVIRONMENT | {
        "CATALOG_PORT": str(site.ports["catalog"]),
        "CATALOG_URI": "jdbc:sqlite:catalog/catalog.db?journal_mode=WAL&busy_timeout=30000",
        "CATALOG_WAREHOUSE": WAREHOUSE,
        "CATALOG_S3_ENDPOINT": site.ports.url("s3"),
    }

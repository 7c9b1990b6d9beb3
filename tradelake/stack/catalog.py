"""The Iceberg REST catalog: Iceberg's own server over an SQLite file."""

from tradelake.stack.credentials import aws_environment
from tradelake.stack.part import JAVA, SIMPLE_LOG, SMALL_JVM, Part, Site, answers
from tradelake.stack.s3 import WAREHOUSE_BUCKET

WAREHOUSE = f"s3://{WAREHOUSE_BUCKET}/"
MAIN = "org.apache.iceberg.rest.RESTCatalogServer"


def catalog(site: Site) -> Part:
    return Part(
        name="catalog",
        address=site.ports.url("catalog"),
        memory="heap 256 MB",
        prepare=lambda: [JAVA, *SMALL_JVM, "-Xmx256m", *SIMPLE_LOG, "-cp", site.jars.classpath("catalog"), MAIN],
        ready=lambda: answers(f"{site.ports.url('catalog')}/v1/config", 200),
        environment=environment(site),
    )


def environment(site: Site) -> dict[str, str]:
    return aws_environment(site.home) | {
        "CATALOG_WAREHOUSE": WAREHOUSE,
        "CATALOG_URI": f"jdbc:sqlite:{site.folder('catalog') / 'catalog.db'}?journal_mode=WAL&busy_timeout=30000",
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
        "CATALOG_S3_ENDPOINT": site.ports.url("s3"),
        "CATALOG_S3_PATH__STYLE__ACCESS": "true",
        "CATALOG_REST_PORT": str(site.ports["catalog"]),
    }

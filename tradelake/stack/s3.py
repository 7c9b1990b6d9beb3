"""The object store: S3Proxy over plain files. A bucket is a folder, an object a file."""

from tradelake.stack.credentials import credential, write_private
from tradelake.stack.part import JAVA, SIMPLE_LOG, SMALL_JVM, Part, Site, answers

WAREHOUSE_BUCKET = "tradelake"
STATE_BUCKET = "flink"
PROPERTIES = "secrets/s3proxy.properties"


def s3(site: Site) -> Part:
    return Part(
        name="s3",
        address=site.ports.url("s3"),
        memory="heap 256 MB",
        prepare=lambda: prepare(site),
        ready=lambda: answers(site.ports.url("s3"), 403),
    )


def prepare(site: Site) -> list[str]:
    """The properties hold the secret, hence the private file."""
    key = credential(site.home)
    for bucket in (WAREHOUSE_BUCKET, STATE_BUCKET):
        site.folder(f"s3/{bucket}")
    properties = {
        "s3proxy.endpoint": site.ports.url("s3"),
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": key.identity,
        "s3proxy.credential": key.secret,
        "s3proxy.v4-max-non-chunked-request-size": "134217728",
        "jclouds.provider": "filesystem-nio2",
        # Absolute: below a relative folder S3Proxy 4.0.0 finds nothing by prefix, and completes no multipart upload. And not by the home's
        # name, which Java cannot read in every locale.
        "jclouds.filesystem.basedir": "/proc/self/cwd/s3",
    }
    write_private(site.home / PROPERTIES, "".join(f"{k}={v}\n" for k, v in properties.items()))
    (jar,) = site.jars.files("s3")
    return [JAVA, *SMALL_JVM, "-Xmx256m", *SIMPLE_LOG, "-jar", str(jar), "--properties", PROPERTIES]

"""The parts of one stack."""

from tradelake.stack.catalog import catalog
from tradelake.stack.flink_cluster import jobmanager, taskmanager
from tradelake.stack.kafka import kafka
from tradelake.stack.part import Part, Site
from tradelake.stack.registry import registry
from tradelake.stack.s3 import s3
from tradelake.stack.zookeeper import zookeeper

NAMES = ("zookeeper", "kafka", "s3", "catalog", "registry", "jobmanager", "taskmanager")
STOP_ORDER = (("taskmanager",), ("jobmanager",), ("kafka", "registry", "catalog"), ("s3", "zookeeper"))
"""What uses goes before what it uses; the parts of one group stop together."""


def parts(site: Site) -> list[Part]:
    return [make(site) for make in (zookeeper, kafka, s3, catalog, registry, jobmanager, taskmanager)]

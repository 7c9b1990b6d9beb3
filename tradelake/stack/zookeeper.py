"""ZooKeeper, which Flink's distribution holds: it remembers the cluster's leader and its jobs."""

import socket

from tradelake.jar_placement import flink_home
from tradelake.stack.part import JAVA, SMALL_JVM, Part, Site
from tradelake.stack.ports import HOST

MAIN = "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer"


def zookeeper(site: Site) -> Part:
    return Part(
        name="zookeeper",
        address=site.ports.address("zookeeper"),
        memory="heap 64 MB",
        prepare=lambda: prepare(site),
        ready=lambda: serves(site.ports["zookeeper"]),
    )


def prepare(site: Site) -> list[str]:
    (site.folder("flink/conf") / "zoo.cfg").write_text(configuration(site), encoding="utf-8")
    library = flink_home() / "lib"
    classpath = ":".join(map(str, [*sorted(library.glob("log4j-*.jar")), *library.glob("flink-dist-*.jar")]))
    log = "-Dlog4j.configurationFile=flink/conf/log4j-console.properties"
    return [JAVA, *SMALL_JVM, "-Xmx64m", log, "-cp", classpath, MAIN, "--zkConfigFile", "flink/conf/zoo.cfg", "--peerId", "1"]


def configuration(site: Site) -> str:
    """`zoo.cfg` of this site."""
    peers = (site.ports["zookeeper-peer"], site.ports["zookeeper-election"])
    return zoo_cfg("./zookeeper", HOST, site.ports["zookeeper"], peers)


def zoo_cfg(data: str, host: str, port: int, peers: tuple[int, int]) -> str:
    """`zoo.cfg` of the only server. Without `dataDir` Flink's ZooKeeper keeps its data in a random temporary folder."""
    lines = (
        "tickTime=2000",
        "initLimit=10",
        "syncLimit=5",
        f"dataDir={data}",
        f"clientPort={port}",
        f"clientPortAddress={host}",
        "admin.enableServer=false",
        "4lw.commands.whitelist=srvr",
        "autopurge.snapRetainCount=3",
        "autopurge.purgeInterval=1",
        "maxClientCnxns=0",  # of one address, without a limit: two for each table whose snapshots expire are one TaskManager's
        f"server.1={HOST}:{peers[0]}:{peers[1]}",
    )
    return "\n".join(lines) + "\n"


def serves(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(b"srvr")
            return b"Mode: standalone" in connection.makefile("rb").read()
    except OSError:
        return False

#!/usr/bin/env bash
# The image's entry point: a server by its role, or any other command as it is.
#
#   jobmanager | taskmanager | zookeeper    Flink's servers, in the foreground, configured from $TRADELAKE_ENVIRONMENT
#   tradelake | flink | sql-client.sh ...   a client of that cluster
#   anything else                           untouched; the Flink Kubernetes Operator starts Flink this way, with a configuration of its own
set -euo pipefail

case "${1:-}" in
jobmanager | taskmanager | zookeeper)
    python -m tradelake.container configure
    export FLINK_CONF_DIR="$TRADELAKE_HOME/flink/conf"
    ;;
tradelake | flink | sql-client.sh)
    # Where no session cluster is, as on Kubernetes, `tradelake topics create` and its like need no configuration of Flink.
    if python -m tradelake.container configure --for-a-client; then
        export FLINK_CONF_DIR="$TRADELAKE_HOME/flink/conf"
    elif [[ $? -ne 3 ]]; then
        exit 1
    fi
    ;;
esac

case "${1:-}" in
jobmanager | taskmanager)
    role=$1
    shift
    exec "$FLINK_HOME/bin/$role.sh" start-foreground "$@"
    ;;
zookeeper)
    # Not bin/zookeeper.sh: it stays between Docker and the server, which then never hears that it should stop.
    export JVM_ARGS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m"
    exec "$FLINK_HOME/bin/flink-console.sh" zookeeper --zkConfigFile "$FLINK_CONF_DIR/zoo.cfg" --peerId 1
    ;;
"")
    exec tradelake --help
    ;;
*)
    exec "$@"
    ;;
esac

# One image for JobManager, TaskManager, ZooKeeper and every client of them (docs/compose.md, docs/decisions/0013).
# Built by BuildKit: docker build -t tradelake:0.1.0 .
# Python, its packages (a Java runtime and Flink among them) and the jars are pinned: by tag, by requirements-runtime.lock, by conf/jars.yaml.

FROM python:3.11.14-slim-bookworm AS packages
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
COPY docker/install.sh build-constraints.txt requirements-runtime.lock /source/
RUN --mount=type=cache,target=/var/cache/uv \
    UV_CACHE_DIR=/var/cache/uv UV_PYTHON=/usr/local/bin/python3.11 /source/install.sh packages /source /opt/tradelake

# No HEALTHCHECK here: what is well depends on the role, and the compose file says it (`python -m tradelake.container healthy ROLE`).
FROM python:3.11.14-slim-bookworm
RUN groupadd --system --gid 9999 flink && useradd --system --uid 9999 --gid flink --home-dir /var/lib/tradelake flink
# Large, and the same as long as the lock is; what changes with every commit is in the layer after it.
COPY --from=packages /opt/tradelake /opt/tradelake
RUN --mount=type=bind,target=/source \
    --mount=type=bind,from=packages,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=cache,target=/var/cache/uv \
    --mount=type=cache,target=/var/cache/tradelake \
    UV_CACHE_DIR=/var/cache/uv TRADELAKE_CACHE=/var/cache/tradelake /source/docker/install.sh tradelake /source /opt/tradelake /opt/flink
COPY docker/entrypoint.sh /docker-entrypoint.sh
# What its programs write. A new volume takes over the owner of the folder that it is mounted on.
RUN cd /var/lib && mkdir --parents tradelake/zookeeper tradelake/logs tradelake/flink/tmp && \
    chown --recursive flink:flink tradelake /opt/flink/conf /opt/flink/log

ENV FLINK_HOME=/opt/flink \
    FLINK_PLUGINS_DIR=/opt/flink/plugins \
    JAVA_HOME=/opt/tradelake/java \
    PATH=/opt/tradelake/bin:/opt/flink/bin:/opt/tradelake/java/bin:/usr/local/bin:/usr/bin:/bin \
    TRADELAKE_HOME=/var/lib/tradelake \
    LC_ALL=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER flink
WORKDIR /var/lib/tradelake
EXPOSE 6121 6122 6123 6124 8081 9249
ENTRYPOINT ["/docker-entrypoint.sh"]

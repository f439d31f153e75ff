# syntax=docker/dockerfile:1
# Pavo's image: `pavo api`, `pavo worker`, `pavo gateway` and `pavo migrate`, without the servers of the embedded stack.
# Pin the base by digest with --build-arg PYTHON_IMAGE=python@sha256:… (docs/deployment-compose.md says how to find it).
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN pip install --root-user-action=ignore uv==0.13.9
WORKDIR /src
COPY pyproject.toml requirements.lock README.md ./
COPY migrations migrations
COPY src src
# The lock serves as constraints, whose hashes are checked: it also names what only tests and benchmarks need.
RUN python -m venv /opt/pavo \
    && uv pip install --no-cache --compile-bytecode --python /opt/pavo/bin/python --constraint requirements.lock '.[server,s3]'

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="pavo" org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/pavo/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp TEMPORAL_CONFIG_FILE=/dev/null
RUN useradd --system --uid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin pavo
COPY --from=build /opt/pavo /opt/pavo
# By number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 7443
STOPSIGNAL SIGTERM
ENTRYPOINT ["pavo"]
CMD ["api"]

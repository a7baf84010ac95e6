# syntax=docker/dockerfile:1
# The teacher image: its extra and nothing else. Build from the repository's root:
#   docker build -f infra/docker/teacher.Dockerfile -t touchstone/teacher .
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN useradd --uid 10001 --create-home touchstone \
    && install --directory --owner=touchstone /var/lib/touchstone

COPY pyproject.toml requirements.lock README.md ./
COPY shared shared
COPY services services
COPY workers workers
COPY infra infra
COPY client client
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint requirements.lock ".[teacher]"

ENV TOUCHSTONE_DATA_DIR=/var/lib/touchstone
VOLUME /var/lib/touchstone
USER 10001
CMD ["python", "-m", "services.teacher"]

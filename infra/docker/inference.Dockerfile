# syntax=docker/dockerfile:1
# The inference image: its extra and nothing else. Build from the repository's root:
#   docker build -f infra/docker/inference.Dockerfile -t touchstone/inference .
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN useradd --uid 10001 --create-home touchstone \
    && install --directory --owner=touchstone /var/lib/touchstone

# torch's wheel for Linux brings CUDA's libraries; the host needs a driver and the container toolkit alone.
COPY pyproject.toml requirements.lock README.md ./
COPY shared shared
COPY services services
COPY workers workers
COPY infra infra
COPY client client
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint requirements.lock ".[inference]"

ENV TOUCHSTONE_DATA_DIR=/var/lib/touchstone
VOLUME /var/lib/touchstone
USER 10001
CMD ["python", "-m", "services.inference"]

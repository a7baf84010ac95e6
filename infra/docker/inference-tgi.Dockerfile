# Sampling and scoring on a GPU: TGI's own image with the inference service in it, which starts text-generation-launcher
# on each checkpoint (`engine: tgi`). Built from the checkout's root: docker compose -f docker-compose.yml -f
# infra/docker/gpu.yml build inference
FROM ghcr.io/huggingface/text-generation-inference:3.3.7

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# TGI's Python lies under /root, which the user without rights may look through but not list.
RUN useradd --create-home --uid 10001 touchstone \
    && install --directory --owner touchstone --group touchstone /var/lib/touchstone /var/lib/touchstone/cache /var/lib/touchstone-gpu \
    && chmod o+x /root /root/.local /root/.local/share

# The service has a Python and libraries of its own: TGI's are older, and stay as they are.
COPY --from=ghcr.io/astral-sh/uv:0.9.7 /uv /usr/local/bin/uv
ENV UV_PYTHON_INSTALL_DIR=/opt/python
WORKDIR /usr/src/touchstone
COPY pyproject.toml requirements.lock README.md ./
COPY client client
COPY infra/*.py infra/
COPY shared shared
COPY services/__init__.py services/
COPY services/inference services/inference
RUN uv venv --no-cache --managed-python --python 3.11 /opt/touchstone \
    && uv pip install --no-cache --python /opt/touchstone/bin/python --constraint requirements.lock ".[inference]"

USER 10001
# Away from the sources: what runs is what was installed.
WORKDIR /var/lib/touchstone
ENV PYTHONUNBUFFERED=1 TOUCHSTONE_DATA_DIR=/var/lib/touchstone HOME=/home/touchstone
# What TGI's entry point does before it starts the launcher is in this image's environment: its Python is on PATH.
ENTRYPOINT []
CMD ["/opt/touchstone/bin/python", "-m", "services.inference"]

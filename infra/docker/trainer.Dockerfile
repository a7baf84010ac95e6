# One trainer worker. The registry's torch for Linux brings its CUDA libraries and uses a GPU if the container has one.
# Built from the checkout's root: docker compose build trainer
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 10001 touchstone \
    && install --directory --owner touchstone --group touchstone /var/lib/touchstone /var/lib/touchstone/cache /var/lib/touchstone-gpu

WORKDIR /usr/src/touchstone
COPY pyproject.toml requirements.lock README.md ./
COPY client client
COPY infra/*.py infra/
COPY shared shared
COPY workers/__init__.py workers/
COPY workers/trainer workers/trainer
RUN pip install --no-cache-dir --constraint requirements.lock ".[trainer]"

USER 10001
# Away from the sources: what runs is what was installed.
WORKDIR /var/lib/touchstone
ENV PYTHONUNBUFFERED=1 TOUCHSTONE_DATA_DIR=/var/lib/touchstone
CMD ["python", "-m", "workers.trainer"]

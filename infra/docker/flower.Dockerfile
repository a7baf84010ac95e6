# Flower, which shows queues and workers.
# Built from the checkout's root: docker compose build flower
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 10001 touchstone \
    && install --directory --owner touchstone --group touchstone /var/lib/touchstone

WORKDIR /usr/src/touchstone
COPY pyproject.toml requirements.lock README.md ./
COPY client client
COPY infra/*.py infra/
COPY shared shared
RUN pip install --no-cache-dir --constraint requirements.lock ".[flower]"

USER 10001
# Away from the sources: what runs is what was installed.
WORKDIR /var/lib/touchstone
ENV PYTHONUNBUFFERED=1 TOUCHSTONE_DATA_DIR=/var/lib/touchstone
CMD ["celery", "-A", "infra.flower", "flower", "--address=0.0.0.0", "--port=5555"]

# Sampling and scoring, with the embedded engine; a TGI that runs elsewhere is reached by its URL.
# Built from the checkout's root: docker compose build inference
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 10001 touchstone \
    && install --directory --owner touchstone --group touchstone /var/lib/touchstone /var/lib/touchstone/cache

WORKDIR /usr/src/touchstone
COPY pyproject.toml requirements.lock README.md ./
COPY client client
COPY infra/*.py infra/
COPY shared shared
COPY services/__init__.py services/
COPY services/inference services/inference
RUN pip install --no-cache-dir --constraint requirements.lock ".[inference]"

USER 10001
# Away from the sources: what runs is what was installed.
WORKDIR /var/lib/touchstone
ENV PYTHONUNBUFFERED=1 TOUCHSTONE_DATA_DIR=/var/lib/touchstone
CMD ["python", "-m", "services.inference"]

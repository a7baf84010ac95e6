# The analyst: statistics, figures, the report.
# Built from the checkout's root: docker compose build analyst
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 10001 touchstone \
    && install --directory --owner touchstone --group touchstone /var/lib/touchstone

WORKDIR /usr/src/touchstone
COPY pyproject.toml requirements.lock README.md ./
COPY client client
COPY infra/*.py infra/
COPY shared shared
COPY services/__init__.py services/
COPY services/analyst services/analyst
RUN pip install --no-cache-dir --constraint requirements.lock ".[analyst]"

USER 10001
# Away from the sources: what runs is what was installed.
WORKDIR /var/lib/touchstone
# Its matrices are small and many: threads of the linear algebra would wait for each other.
ENV PYTHONUNBUFFERED=1 TOUCHSTONE_DATA_DIR=/var/lib/touchstone OPENBLAS_NUM_THREADS=1
CMD ["python", "-m", "services.analyst"]

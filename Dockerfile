# One image for web, worker, gateway and shoppers; each service sets the command.
# To pin the base image: docker compose build --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.13.16-slim-trixie

FROM ${PYTHON_IMAGE} AS packages
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --quiet --require-hashes -r /tmp/requirements.txt \
    && /venv/bin/pip uninstall --quiet --yes pip

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Vitrine" \
    org.opencontainers.image.description="A Django shop you can see into" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# psql for `manage.py dbshell`
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin vitrine
COPY --from=packages /venv /venv
COPY app /app
COPY docs/runbooks /docs/runbooks
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    REVISION=${REVISION} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    GATEWAY_HOST=0.0.0.0 \
    WORKER_METRICS_HOST=0.0.0.0 \
    LOG_DIR=/app/logs \
    VAR_DIR=/app/var \
    GATEWAY_LEDGER=/app/var/gateway.sqlite3 \
    STATIC_ROOT=/app/staticfiles
# Collect static files with hashed names. The values are placeholders; nothing is served here.
RUN build=only-to-collect-static-files-while-building-this-image \
    && export LOG_DIR=/tmp DEBUG=False ALLOWED_HOSTS=build SECRET_KEY=$build METRICS_TOKEN=$build ALERTS_TOKEN=$build \
        GATEWAY_API_KEY=$build EMAIL_HOST=build \
    && python manage.py collectstatic --noinput --verbosity 0 \
    && mkdir -p /app/logs /app/var /app/queue /config/prometheus /config/alertmanager \
        /config/blackbox /config/loki /config/grafana \
    && chown -R vitrine: /app/logs /app/var /app/queue /config
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "config/gunicorn.conf.py", "config.wsgi:application"]

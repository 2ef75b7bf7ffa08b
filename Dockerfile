# The service and the trainer in one image. Build: docker compose build
#
# TORCH_INDEX chooses the PyTorch build, as TABSERVE_TORCH_INDEX does for scripts/install: the address that PyTorch's
# "Start Locally" page prints behind --index-url (its CPU page makes the smallest image). Empty: pip's default.
FROM python:3.11-slim-bookworm AS build
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/tabserve
WORKDIR /src
COPY constraints.txt ./
RUN /opt/tabserve/bin/pip install --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md ./
COPY app app
COPY modelstore modelstore
COPY training training
RUN /opt/tabserve/bin/pip install --constraint constraints.txt .

FROM python:3.11-slim-bookworm
ENV PATH=/opt/tabserve/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    TABSERVE_HOST=0.0.0.0 \
    TABSERVE_PORT=8000 \
    TABSERVE_MODELS_DIR=/srv/models \
    TABSERVE_DATA_DIR=/srv/data \
    TABSERVE_STATE_DIR=/srv/state
COPY --from=build /opt/tabserve /opt/tabserve
COPY data /srv/data
# Only these two folders belong to the service; volumes take over their owner.
RUN mkdir /srv/models /srv/state && chown 10001:10001 /srv/models /srv/state
WORKDIR /srv
USER 10001:10001
VOLUME ["/srv/models", "/srv/state"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 CMD ["python", "-m", "app.healthcheck"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["--train-missing"]

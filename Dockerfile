# The service and the trainer in one image. Build: docker compose build
#
# BASE           the Python image; `scripts/pin-images` prints it with its digest, for .env
# TORCH_BACKEND  the PyTorch build, as uv's --torch-backend names it: cpu, cu128, rocm7.2, ..., by version from PyTorch's
#                own index. Empty: the CUDA build of the package index, verified by its hash like all other packages.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
ARG TORCH_BACKEND=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all:
RUN python -m venv /opt/build && python -m venv --without-pip /opt/tabserve
WORKDIR /src
COPY constraints.txt ./
COPY deploy/locks locks
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r locks/build.txt
RUN pip --python /opt/tabserve/bin/python install --no-cache-dir --require-hashes --no-deps -r locks/image.txt
# After all others, which so keep what their hashes have verified.
RUN if [ -n "$TORCH_BACKEND" ]; then \
        /opt/build/bin/uv pip install --no-cache --only-binary :all: --python /opt/tabserve/bin/python \
            --constraint constraints.txt --torch-backend "$TORCH_BACKEND" torch; \
    else \
        pip --python /opt/tabserve/bin/python install --no-cache-dir --require-hashes --no-deps -r locks/torch.txt; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY modelstore modelstore
COPY tabserve tabserve
COPY training training
RUN /opt/build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/tabserve/bin/python install --no-deps --no-index /wheels/*.whl

FROM ${BASE}
ENV PATH=/opt/tabserve/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    TABSERVE_HOST=0.0.0.0 \
    TABSERVE_PORT=8000 \
    TABSERVE_MODELS_DIR=/srv/models \
    TABSERVE_DATASETS_DIR=/srv/datasets \
    TABSERVE_DATA_DIR=/srv/data \
    TABSERVE_STATE_DIR=/srv/state
COPY --from=build /opt/tabserve /opt/tabserve
COPY data /srv/data
# The service owns only these folders; volumes inherit their owner.
RUN install --directory --owner=10001 --group=10001 --mode=0750 \
    /srv/models /srv/datasets /srv/state /srv/audit /run/secrets /run/tabserve \
    /srv/secrets/database /srv/secrets/service /srv/secrets/operator /srv/secrets/prometheus /srv/secrets/grafana
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 CMD ["python", "-m", "app.server.healthcheck"]
ENTRYPOINT ["python", "-m", "app"]

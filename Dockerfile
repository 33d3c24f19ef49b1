# One image for training and serving, on a laptop and on Amazon SageMaker.
#   docker build -t segserve .            docker run -p 8080:8080 segserve demo
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS base

FROM base AS build
# The last two make what is built the same to the last bit, whenever it is: sets in bytecode, dates in wheels.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=315532800
# For strip and the kernel; nothing of this stage but /image and /code goes into the image.
# hadolint ignore=DL3008  # any will do, and a pinned version leaves the mirror with the next update
RUN apt-get update && apt-get install -y --no-install-recommends binutils gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies first: they change only with their pins. A pip.conf for another index may come as a secret.
COPY docker/requirements.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf.secret \
    if [ -s /etc/pip.conf.secret ]; then export PIP_CONFIG_FILE=/etc/pip.conf.secret; fi \
    && python -m pip install --require-hashes --no-compile --only-binary :all: \
        --target /image/opt/segserve/lib -r requirements.txt
COPY kernel kernel
# The paths in what the compiler notes are not this machine's.
ENV CFLAGS=-ffile-prefix-map=/build=.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf.secret \
    if [ -s /etc/pip.conf.secret ]; then export PIP_CONFIG_FILE=/etc/pip.conf.secret; fi \
    && python -m pip install --require-hashes --no-compile --target tools -r kernel/requirements.txt \
    && PYTHONPATH=/build/tools python -m pip install --no-build-isolation --no-deps --no-compile \
        --target /image/opt/segserve/lib ./kernel
COPY docker/slim.py docker/bytecode.py docker/settle.py ./
# Not scipy.libs: patchelf has rewritten it, and strip breaks it ("ELF load command not page-aligned"). What
# slim.py or strip should break in future shows here: bytecode.py imports it all.
RUN python slim.py /image/opt/segserve/lib \
    && find /image -name '*.so*' -type f -not -path '*/scipy.libs/*' -exec strip --strip-unneeded {} + \
    && python bytecode.py /image/opt/segserve/lib /image \
    && python settle.py /image
# The code last. It is not pip-installed: the entry point is python -m service.
COPY service /code/opt/segserve/service
COPY docker/healthcheck.py /code/opt/segserve/healthcheck.py
COPY --chmod=755 docker/segserve /code/usr/local/bin/segserve
# What needs boto3 or an engine does nothing there but say so, which takes no bytecode.
RUN python -m compileall -q --invalidation-mode unchecked-hash -s /code -x '/service/(aws|local)/' /code/opt/segserve/service \
    && python settle.py /code

# The base without what is not needed. Copied, for deleting in a layer above would neither give back a byte nor, as its
# marks bear the time, be the same twice.
FROM base AS trimmed
COPY --from=base / /base
COPY docker/trim.py /trim.py
RUN python -B /trim.py /base

FROM scratch
COPY --from=trimmed /base /
ARG REVISION=unknown
ARG VERSION=0.1.0
# One thread a process: small work waits longer for threads than it computes. No HOME is written to (C66, C123).
# C6: all interfaces, whatever starts the container. A safe path, so that no file left in the working directory is taken for a module.
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin LANG=C.UTF-8 \
    PYTHONPATH=/opt/segserve:/opt/segserve/lib PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 SERVICE_HOST=0.0.0.0 SERVICE_STORE=/tmp/models SERVICE_LOG_FORMAT=auto
COPY --from=build /image /
COPY --from=build /code /
# C7: SageMaker may choose the port. C68: with --build-arg MULTI_MODEL=true it takes the image for multi-model
# endpoints; the image itself can serve both ways.
ARG MULTI_MODEL=false
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true \
      com.amazonaws.sagemaker.capabilities.multi-models="${MULTI_MODEL}" \
      org.opencontainers.image.title="segserve" \
      org.opencontainers.image.description="A CSV of customers becomes a customer-segmentation service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /tmp
EXPOSE 8080
# For plain Docker; SageMaker does not look at it (C19). -I hides the variable above, so -B says it again.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-B", "-I", "-S", "/opt/segserve/healthcheck.py"]
# C2: exec form, so that signals reach the server. C5: no USER, SageMaker wants root; serve drops it by itself.
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]

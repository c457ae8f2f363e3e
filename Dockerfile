# Three images from one file; --target is predictor, storage-init or pipeline:
#   docker build --target predictor -t warmstart/predictor:0.1.0 .
ARG BASE=docker.io/library/python:3.11-slim
ARG VERSION=dev
ARG REVISION=unknown

# What pip needs of the project and no more: its dependencies, extras and scripts, no package.
# Code and linter settings are left out, so that changing them reinstalls nothing below.
FROM ${BASE} AS project
WORKDIR /project
COPY LICENSE constraints.txt pyproject.toml ./
RUN sed -i '/^\[tool\./,$d' pyproject.toml \
    && printf '[tool.setuptools]\npackages = []\n' >> pyproject.toml \
    && touch README.md

# pip has an environment of its own, so the one that is shipped holds no pip.
FROM ${BASE} AS installer
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_COMPILE=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/installer && python -m venv --without-pip /opt/venv
ENV PATH=/opt/installer/bin:$PATH
COPY --from=project /project /project
WORKDIR /project

# Byte code is made here because a read-only root keeps none at run time. It is not compared with
# its source's time: a copy that changed that would silently have all of it compiled at each start.
# SIGNING=true adds what WARMSTART_VERIFY_KEY needs, 20 MB; the other images always have it.
# OPENVINO=true adds what the variant bf16-openvino needs, 160 MB; the pipeline's image has it.
FROM installer AS predictor-dependencies
ARG SIGNING=
ARG OPENVINO=
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install -c constraints.txt \
        ".[predictor${SIGNING:+,signing}${OPENVINO:+,openvino}]" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM installer AS storage-init-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install -c constraints.txt ".[storage-init,signing]" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# PyTorch's default wheel for Linux brings gigabytes of CUDA libraries. Its CPU wheels lie in an
# index of their own: name it with --build-arg TORCH_INDEX=...
# What is not compiled is PyTorch's own tests, some of them written for a later Python.
FROM installer AS pipeline-dependencies
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        -c constraints.txt ".[pipeline,openvino,signing]" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/torch/testing/_internal/' /opt/venv/lib

# The base image ships its standard library without byte code: compiling it at each start is slow.
# The user has a name because libraries ask for one, and /tmp for a home because that is writable.
FROM ${BASE} AS runtime
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(dist-packages|idlelib|lib2to3|site-packages|test|tests)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin warmstart
ENV HOME=/tmp \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM runtime AS predictor
COPY --from=predictor-dependencies /opt/venv /opt/venv
COPY storage_init storage_init
COPY predictor predictor
RUN chmod -R a+rX . && python -m compileall -q --invalidation-mode unchecked-hash .
USER 1000
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "predictor"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Warmstart predictor" \
      org.opencontainers.image.description="Serves prepared encoder models on KServe" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}

# Python stops at once, cleaning up, on SIGINT; the first process of a container ignores SIGTERM.
# With the pipeline's code it prepares what is ONNX already; it has no PyTorch for the rest.
FROM runtime AS storage-init
COPY --from=storage-init-dependencies /opt/venv /opt/venv
COPY storage_init storage_init
COPY pipeline pipeline
RUN chmod -R a+rX . && python -m compileall -q --invalidation-mode unchecked-hash .
ENV HF_HOME=/tmp/hf
STOPSIGNAL SIGINT
USER 1000
ENTRYPOINT ["python", "-m", "storage_init"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Warmstart storage initializer" \
      org.opencontainers.image.description="Brings models to a KServe predictor, verified" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}

FROM runtime AS pipeline
COPY --from=pipeline-dependencies /opt/venv /opt/venv
COPY storage_init storage_init
COPY pipeline pipeline
RUN chmod -R a+rX . && python -m compileall -q --invalidation-mode unchecked-hash .
ENV HF_HOME=/tmp/hf
STOPSIGNAL SIGINT
USER 1000
ENTRYPOINT ["python", "-m", "pipeline"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Warmstart pipeline" \
      org.opencontainers.image.description="Prepares Hugging Face encoder models for serving" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}

# Five images from one file; --target is predictor, storage-init, pipeline, baked or modelcar:
#   docker build --target predictor -t warmstart/predictor:0.1.0 .
# `make image` builds, tries out and pushes one: docs/images.md. Pin the bases by digest with
#   --build-arg BASE=docker.io/library/python@sha256:...
ARG BASE=docker.io/library/python:3.11-slim
ARG MODELCAR_BASE=docker.io/library/busybox:1.37
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
# kserve wants psutil < 6, which has no wheel for arm64. This stage is not shipped.
# hadolint ignore=DL3008
RUN if [ "$(uname -m)" = aarch64 ]; then apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*; fi
COPY --from=project /project /project
WORKDIR /project
# It writes down what an environment holds, as CycloneDX; here, because it reads other environments.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c constraints.txt ".[image]"

# Byte code is made here because a read-only root keeps none at run time. It is not compared with
# its source's time: a copy that changed that would silently have all of it compiled at each start.
# What is left out is a protobuf compiler, a downloader, an image library, packages' own tests and
# ONNX Runtime's library for C programs: a quarter of the whole, and nothing that serving imports.
# SIGNING=true adds what WARMSTART_VERIFY_KEY needs, 32 MB; the other images always have it.
# OPENVINO=true adds what the variant bf16-openvino needs, 160 MB; the pipeline's image has it.
# OTEL=true adds what traces need, 5 MB. GPU=true has ONNX Runtime's CUDA build and CUDA itself.
FROM installer AS predictor-dependencies
ARG SIGNING=
ARG OPENVINO=
ARG OTEL=
ARG GPU=
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install -c constraints.txt \
        ".[predictor${SIGNING:+,signing}${OPENVINO:+,openvino}${OTEL:+,otel}]" \
    && if [ -n "$GPU" ]; then \
        pip --python /opt/venv/bin/python uninstall --quiet --yes onnxruntime \
        && pip --python /opt/venv/bin/python install -c constraints.txt \
            "onnxruntime-gpu[cuda,cudnn]"; fi \
    && pip --python /opt/venv/bin/python uninstall --quiet --yes \
        grpcio-tools hf-xet pillow setuptools \
    && cyclonedx-py environment --output-reproducible -o /opt/sbom.cdx.json /opt/venv \
    && find /opt/venv/lib/python*/site-packages/pandas /opt/venv/lib/python*/site-packages/numpy \
        -type d -name tests -prune -exec rm -r {} + \
    && rm -f /opt/venv/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    && /opt/venv/bin/python -c 'import kserve, numpy.testing, onnxruntime, pandas' \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# Again without packages' own tests and the library for C programs, a fifth of the whole.
FROM installer AS storage-init-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install -c constraints.txt ".[storage-init,signing]" \
    && cyclonedx-py environment --output-reproducible -o /opt/sbom.cdx.json /opt/venv \
    && find /opt/venv/lib/python*/site-packages/sympy /opt/venv/lib/python*/site-packages/mpmath \
        /opt/venv/lib/python*/site-packages/numpy /opt/venv/lib/python*/site-packages/onnx/backend \
        -type d \( -name tests -o -path '*/onnx/backend/test' \) -prune -exec rm -r {} + \
    && rm /opt/venv/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.* \
    && /opt/venv/bin/python -c 'import kserve_storage, numpy.testing, onnxruntime.quantization, \
        onnxruntime.tools.symbolic_shape_infer, onnxruntime.transformers.optimizer' \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# PyTorch's default wheel for Linux brings gigabytes of CUDA libraries. Its CPU wheels lie in an
# index of their own: name it with --build-arg TORCH_INDEX=...
# What is not compiled is PyTorch's own tests, some of them written for a later Python.
FROM installer AS pipeline-dependencies
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        -c constraints.txt ".[pipeline,openvino,signing]" \
    && cyclonedx-py environment --output-reproducible -o /opt/sbom.cdx.json /opt/venv \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/torch/testing/_internal/' /opt/venv/lib

# The base image ships its standard library without byte code: compiling it at each start is slow.
# Neither its pip nor the means to install one is needed at run time, nor a program that runs as root.
# The user has a name because libraries ask for one, and /tmp for a home because that is writable.
FROM ${BASE} AS runtime
RUN { ! python -m pip --version 2>/dev/null || python -m pip uninstall --quiet --yes pip; } \
    && rm -r "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/ensurepip" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(dist-packages|idlelib|lib2to3|site-packages|test|tests)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin warmstart \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV HOME=/tmp \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM runtime AS predictor
COPY --from=predictor-dependencies /opt/venv /opt/venv
COPY --from=predictor-dependencies /opt/sbom.cdx.json /usr/share/sbom/python.cdx.json
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
COPY --from=storage-init-dependencies /opt/sbom.cdx.json /usr/share/sbom/python.cdx.json
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
COPY --from=pipeline-dependencies /opt/sbom.cdx.json /usr/share/sbom/python.cdx.json
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

# The model of the two images below: prepared here from MODEL, or taken as it is with
#   --build-context prepared=<store>/models/NAME/current/
FROM pipeline AS preparing
ARG MODEL
ARG MODEL_NAME=model
ARG VARIANTS=fp32,int8
# Or a mirror of it.
ARG HF_ENDPOINT=https://huggingface.co
RUN test -n "$MODEL" || { echo "name a MODEL, or a prepared one as --build-context" >&2; exit 1; } \
    && echo "variants: [$VARIANTS]" > /tmp/recipe.yaml \
    && python -m pipeline run --source "$MODEL" --name "$MODEL_NAME" --store /tmp/store \
        --recipe /tmp/recipe.yaml \
    && cp -rL "/tmp/store/models/$MODEL_NAME/current" /tmp/prepared

FROM scratch AS prepared
COPY --from=preparing /tmp/prepared /

# No digest, no model: what was altered on its way ends the build here.
FROM storage-init AS verified
COPY --chown=0:0 --from=prepared / /models/
USER 0
RUN python -c 'from pathlib import Path; from storage_init.format.verify import verify; verify(Path("/models"))' \
    && python -m storage_init.sbom /models > /model.cdx.json \
    && chmod -R a+rX,go-w /models
USER 1000

FROM predictor AS baked
ARG MODEL_NAME=model
COPY --from=verified /model.cdx.json /usr/share/sbom/model.cdx.json
COPY --from=verified /models /mnt/models
ENV WARMSTART_MODEL_NAME=${MODEL_NAME}

# KServe runs a modelcar beside the predictor and asks it for a shell, ln and sleep. An
# ImageVolume (oci+native://) needs none: MODELCAR_BASE=scratch.
# hadolint ignore=DL3006
FROM ${MODELCAR_BASE} AS modelcar
COPY --from=verified /model.cdx.json /usr/share/sbom/model.cdx.json
COPY --from=verified /models /models
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Warmstart modelcar" \
      org.opencontainers.image.description="A prepared encoder model for KServe, as oci://" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}
USER 1000

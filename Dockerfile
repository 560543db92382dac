# nagl in a container: `docker build -t nagl .`, docs/deployment.md says how it is run.
#
# CUDA=1:    with the CUDA part of Torch; a GPU then needs the NVIDIA container toolkit on the host
# WEIGHTS=0: without a backbone file, to be mounted instead; the default makes an image that needs nothing else
FROM debian:bookworm AS build
ARG CUDA=0
WORKDIR /src
# What takes long to fetch and seldom changes: Debian packages, Torch, the backbone.
COPY scripts/setup.sh scripts/fetch_backbone.py scripts/weights_io.py scripts/requirements*.txt scripts/
RUN if [ "$CUDA" = 1 ]; then scripts/setup.sh --cuda --no-build; else scripts/setup.sh --cpu --no-build; fi
COPY . .
ARG WEIGHTS=1
RUN if [ "$WEIGHTS" = 0 ]; then rm -r weights; fi
RUN cmake --preset package -DNAGL_CUDA="$CUDA" && cmake --build --preset package --target package

FROM debian:bookworm-slim
RUN --mount=type=bind,from=build,source=/src/build/package/packages,target=/packages \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /packages/nagl_*.deb && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log && \
    useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin nagl && \
    install -d -o nagl -g nagl /banks /out
# What the NVIDIA container toolkit brings in; nothing without it.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nagl" \
      org.opencontainers.image.description="Few-shot visual anomaly detection" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
USER 10001:10001
EXPOSE 8080
# bash asks, as the image has no curl; a container that does another job than serving has none to ask.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]
ENTRYPOINT ["nagl"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--bank", "/banks/bank.safetensors"]

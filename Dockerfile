# The image holds one file: the static binary, with the root certificates in it. There is no shell, and nothing to update.
# The context is not this directory but bin/image, which `make image` fills: linux-amd64/odradek, linux-arm64/odradek, and the
# empty directory data. So no image is pulled, and one file serves docker and buildah for both architectures.
FROM scratch
ARG TARGETARCH
COPY linux-${TARGETARCH}/odradek /odradek

# The write-ahead log is here, and a bucket that is a directory: the one place that is written to. A new volume takes owner
# and mode from it. Everything else is root's, and may be mounted read-only.
COPY --chown=65532:65532 data /data
VOLUME /data

# By number, so that an orchestrator sees that it is not root.
USER 65532:65532
ENV ODRADEK_LISTEN=:9092 ODRADEK_HTTP=:8080 ODRADEK_DATA_DIR=/data
EXPOSE 9092 8080

# --live: where an unhealthy container is killed, one that waits for its bucket must not lose its write-ahead log for that.
# Whether it serves clients says the same without --live.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/odradek", "healthcheck", "--live"]
ENTRYPOINT ["/odradek"]
CMD ["agent"]

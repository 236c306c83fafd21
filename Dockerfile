# The gateway: a static binary on an empty image, as a user without rights.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/caddy-impersonate ./cmd/caddy-impersonate \
 && mkdir -p /out/data/impersonate /out/data/caddy

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/caddy-impersonate /usr/bin/caddy-impersonate
# A volume mounted here takes over the owner: the gateway can write without root.
COPY --from=build --chown=65532:65532 /out/data/impersonate /var/lib/impersonate
COPY --from=build --chown=65532:65532 /out/data/caddy /data
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data/config
USER 65532:65532
EXPOSE 8080 8443
VOLUME ["/var/lib/impersonate", "/data"]
ENTRYPOINT ["/usr/bin/caddy-impersonate"]
CMD ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

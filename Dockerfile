# cw as an image: for loads that are a job of their own, beside the cluster.
#   docker build -t cw .
#   docker run --rm -v "$PWD:/work:ro" -v cw-state:/state -e PGPASSWORD -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY cw load run /work/load.yaml
# There is nothing in it but the program, the roots of certificates and the
# time zones: no shell, no /etc/passwd, no /tmp. packaging/image_test.go runs
# loads in just this.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build && mkdir -p /out/state && cp bin/cw /out/cw

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /out/cw /cw
COPY --from=build --chown=65532:65532 /out/state /state
ENV ZONEINFO=/zoneinfo.zip XDG_STATE_HOME=/state XDG_CONFIG_HOME=/state/config
USER 65532:65532
VOLUME /state
ENTRYPOINT ["/cw"]

# syntax=docker/dockerfile:1

FROM node:22-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web/ ./
COPY LICENSE /build/
COPY src/wavepaint/weights/default.onnx /build/src/wavepaint/weights/
RUN npm run build

FROM python:3.13-slim AS package
WORKDIR /build
COPY . .
COPY --from=page /build/src/wavepaint/server/static src/wavepaint/server/static
RUN pip install --no-cache-dir --no-compile --prefix=/install ".[server]"

FROM python:3.13-slim
COPY --from=package /install /usr/local
# Compiled here, because at run time the file system may be read-only.
RUN python -m compileall -q /usr/local/lib/python3.13/site-packages \
    && useradd --system --no-create-home --uid 10001 wavepaint
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Reachable from outside the container, so it wants WAVEPAINT_TOKEN (or --insecure-no-token) and says so without.
ENTRYPOINT ["wavepaint", "serve", "--host", "0.0.0.0", "--port", "8000"]

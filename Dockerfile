# The service in a container: docker build -t tmcir . && docker run --rm tmcir --help
#
# It runs models by their graphs (`tmcir export`), without torch.
FROM python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/tmcir
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
RUN /opt/tmcir/bin/pip install -c constraints.txt ".[serve,milvus]"

FROM python:3.11-slim

COPY --from=build /opt/tmcir /opt/tmcir
RUN useradd --uid 10001 --create-home tmcir
USER tmcir
WORKDIR /home/tmcir
ENV PATH=/opt/tmcir/bin:$PATH \
    PYTHONUNBUFFERED=1
EXPOSE 8000
# longer than the time of a request, so that those under way are finished
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["tmcir"]
# A key must be given (TMCIR_API_KEYS), or --without-key where a proxy guards the door.
CMD ["serve", "/gallery", "--host", "0.0.0.0"]

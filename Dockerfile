# One image for every service of docker-compose.yaml: the locked environment, Java for Spark, Delta's jars, Muster.
FROM python:3.11.13-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 openjdk-17-jre-headless tini \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/jvm/java-17-openjdk-* /opt/java \
    && useradd --uid 10001 --create-home muster \
    && install --directory --owner muster /opt/muster /var/lib/muster /var/lib/muster/store /var/lib/muster/logs /var/lib/muster/mlflow

ENV JAVA_HOME=/opt/java \
    MUSTER_HOME=/opt/muster/home \
    MUSTER_STORE=/var/lib/muster/store \
    PATH=/opt/muster/venv/bin:$PATH \
    PYSPARK_PYTHON=/opt/muster/venv/bin/python \
    PYTHONUNBUFFERED=1 \
    SPARK_HOME=/opt/muster/venv/lib/python3.11/site-packages/pyspark \
    SPARK_NO_DAEMONIZE=1 \
    DO_NOT_TRACK=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false

USER muster
WORKDIR /opt/muster/project

# The lock first: a change of the code does not install it again.
COPY --chown=muster requirements.txt .
RUN python -m venv /opt/muster/venv && pip install --no-cache-dir --require-hashes --requirement requirements.txt

COPY --chown=muster . .
RUN pip install --no-cache-dir --no-deps --editable . \
    && python -c "from muster.settings import settings; from muster_local import environment, jars; \
jars.ensure_jars(settings().home, environment.toolchain(settings()))"

ENTRYPOINT ["tini", "--"]

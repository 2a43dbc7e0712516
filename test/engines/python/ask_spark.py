"""Spark with the runtimes of Iceberg and Delta: `place` is a metadata.json, the folder of a Delta table, or of Parquet files; format `rest`: the URL of an
Iceberg REST catalog.

LTAP_SPARK is the folder with PySpark's environment; LTAP_SPARK_JARS the one with the jars.
"""
import glob
import os
import sys

sys.path[:0] = glob.glob(os.path.join(os.environ["LTAP_SPARK"], "lib/python*/site-packages"))
from pyspark.sql import SparkSession

SETTINGS = {
    "spark.jars": ",".join(glob.glob(os.path.join(os.environ["LTAP_SPARK_JARS"], "*.jar"))),
    "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "1", "spark.databricks.delta.snapshotPartitions": "1", "spark.sql.session.timeZone": "UTC",
    "spark.executor.heartbeatInterval": "600s", "spark.network.timeout": "2000s",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions,io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=UTC",
}
session = SparkSession.builder.master("local[1]")
for name, value in SETTINGS.items():
    session = session.config(name, value)
spark = session.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


catalogs = {}


def catalog(question):
    """The name of a catalog with the question's settings."""
    settings = {"type": "rest", "uri": question["place"], "warehouse": question["warehouse"], "cache-enabled": "false"}
    if "token" in question:
        settings["token"] = question["token"]
    if "planning" in question:
        settings["scan-planning-mode"] = question["planning"]
    if "s3" in question:
        s3 = question["s3"]
        settings |= {"io-impl": "org.apache.iceberg.aws.s3.S3FileIO", "s3.endpoint": s3["endpoint"], "s3.access-key-id": s3["key"],
                     "s3.secret-access-key": s3["secret"], "client.region": s3["region"], "s3.path-style-access": "true"}
    name = catalogs.setdefault(str(settings), f"rest{len(catalogs)}")
    spark.conf.set(f"spark.sql.catalog.{name}", "org.apache.iceberg.spark.SparkCatalog")
    for key, value in settings.items():
        spark.conf.set(f"spark.sql.catalog.{name}.{key}", value)
    return name


def ask(question):
    reader = spark.read if question["format"] == "rest" else spark.read.format(question["format"])
    if "at" in question:
        reader = reader.option("versionAsOf", question["at"])
    if question["format"] == "rest":
        frame = reader.table(".".join("`" + name.replace("`", "``") + "`" for name in [catalog(question), *question["table"]]))
    else:
        frame = reader.load(question["place"].removeprefix("file://"))
    if "sql" in question or "where" in question:
        frame.createOrReplaceTempView("t")
        frame = spark.sql(question.get("sql", f"SELECT * FROM t WHERE {question.get('where')}"))
    if "columns" in question:
        frame = frame.select(["`" + name.replace("`", "``") + "`" for name in question["columns"]])
    return frame.toArrow()

"""DuckDB with the extensions iceberg and delta: `place` is a metadata.json, or the folder of a Delta table; format `parquet`: a path or a glob; format `rest`: the
URL of an Iceberg REST catalog.
"""
import os
import sys

import duckdb

connection = duckdb.connect()
connection.sql(f"SET extension_directory = '{os.path.join(sys.prefix, 'duckdb')}'")
for extension in ("httpfs", "avro", "iceberg", "delta"):
    connection.sql(f"LOAD {extension}")
connection.sql("SET TimeZone = 'UTC'")
has_planning = connection.sql("SELECT count(*) FROM duckdb_settings() WHERE name = 'iceberg_use_server_side_scan_planning'").fetchone()[0] > 0


def ask(question):
    if "s3" in question:
        secret(question["s3"])
    connection.sql(f"CREATE OR REPLACE TEMP VIEW t AS SELECT * FROM {source(question)}")
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in question.get("columns", [])) or "*"
    where = f" WHERE {question['where']}" if "where" in question else ""
    return connection.sql(question.get("sql", f"SELECT {columns} FROM t{where}")).to_arrow_table()


def source(question):
    place = question["place"].replace("'", "''")
    at = question.get("at")
    if question["format"] == "rest":
        attach(question)
        table = ".".join('"' + name.replace('"', '""') + '"' for name in question["table"])
        return f"rest.{table}{'' if at is None else f' AT (VERSION => {at})'}"
    if question["format"] == "iceberg":
        return f"iceberg_scan('{place}'{'' if at is None else f', snapshot_from_id = {at}'})"
    if question["format"] == "delta":
        return f"delta_scan('{place}'{'' if at is None else f', version = {at}'})"
    return f"read_parquet('{place}')"


def attach(question):
    """A catalog is attached anew for each question: DuckDB keeps what it has loaded."""
    connection.sql("DETACH DATABASE IF EXISTS rest")
    connection.sql(f"SET iceberg_use_server_side_scan_planning = {str(question.get('planning') == 'server').lower()}") if has_planning else None
    authorization = "AUTHORIZATION_TYPE 'none'"
    if "token" in question:
        connection.sql(f"CREATE OR REPLACE SECRET rest_token (TYPE iceberg, TOKEN '{question['token']}')")
        authorization = "SECRET rest_token"
    warehouse = question["warehouse"].replace("'", "''")
    connection.sql(f"ATTACH '{warehouse}' AS rest (TYPE iceberg, ENDPOINT '{question['place']}', {authorization}, ACCESS_DELEGATION_MODE 'none')")


def secret(s3):
    endpoint = s3["endpoint"].split("://")[1]
    use_ssl = str(s3["endpoint"].startswith("https")).lower()
    connection.sql(f"""CREATE OR REPLACE SECRET s3 (TYPE s3, KEY_ID '{s3["key"]}', SECRET '{s3["secret"]}', ENDPOINT '{endpoint}', URL_STYLE 'path',
        USE_SSL {use_ssl}, REGION '{s3["region"]}')""")

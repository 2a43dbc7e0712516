"""ClickHouse as chdb: `place` is the folder of an Iceberg or Delta table, of Iceberg also a metadata.json; format `parquet`: a path or a glob."""
import io
import os

import chdb
import pyarrow.ipc

# Files that it reads are below the current folder.
os.chdir("/")
SETTINGS = "output_format_arrow_string_as_string = 1, output_format_arrow_compression_method = 'none', session_timezone = 'UTC'"


def ask(question):
    columns = ", ".join("`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`" for name in question.get("columns", [])) or "*"
    where = f" WHERE {question['where']}" if "where" in question else ""
    sql = question.get("sql", f"SELECT {columns} FROM t{where}")
    answer = chdb.query(f"WITH t AS (SELECT * FROM {source(question)}) {sql} SETTINGS {settings(question)}", "Arrow")
    return pyarrow.ipc.open_file(io.BytesIO(answer.bytes())).read_all()


def source(question):
    s3 = question.get("s3")
    if question["format"] == "parquet":
        return f"file({quoted(question['place'])}, Parquet)"
    function = "iceberg" if question["format"] == "iceberg" else "deltaLake"
    folder, _, metadata = question["place"].partition("/metadata/")
    chosen = f", SETTINGS iceberg_metadata_file_path = {quoted('metadata/' + metadata)}" if metadata else ""
    if s3 is None:
        return f"{function}Local({quoted(folder)}{chosen})"
    path = f"{s3['endpoint']}/{folder.removeprefix('s3://')}"
    return f"{function}S3({quoted(path)}, {quoted(s3['key'])}, {quoted(s3['secret'])}{chosen})"


def settings(question):
    named = [SETTINGS]
    at = question.get("at")
    if at is not None:
        named.append(f"{'iceberg_snapshot_id' if question['format'] == 'iceberg' else 'delta_lake_snapshot_version'} = {at}")
    return ", ".join(named)


def quoted(text):
    return "'" + text.removeprefix("file://").replace("\\", "\\\\").replace("'", "\\'") + "'"

"""Polars: `place` is a metadata.json, the folder of a Delta table, or a path or a glob of Parquet files."""
import polars


def ask(question):
    frame = source(question)
    if "sql" in question:
        return polars.SQLContext(t=frame).execute(question["sql"]).collect().to_arrow()
    if "columns" in question:
        frame = frame.select(question["columns"])
    return frame.collect().to_arrow()


def source(question):
    place, at = question["place"], question.get("at")
    s3 = question.get("s3")
    if question["format"] == "iceberg":
        options = {} if s3 is None else {
            "s3.endpoint": s3["endpoint"], "s3.access-key-id": s3["key"], "s3.secret-access-key": s3["secret"], "s3.region": s3["region"]}
        reader = {"reader_override": question["reader"]} if "reader" in question else {}
        return polars.scan_iceberg(place, snapshot_id=at, storage_options=options or None, **reader)
    options = None if s3 is None else {
        "aws_endpoint_url": s3["endpoint"], "aws_access_key_id": s3["key"], "aws_secret_access_key": s3["secret"], "aws_region": s3["region"], "aws_allow_http": "true"}
    if question["format"] == "delta":
        return polars.scan_delta(place, version=at, storage_options=options)
    return polars.scan_parquet(place, storage_options=options)

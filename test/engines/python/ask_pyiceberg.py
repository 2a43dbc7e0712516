"""PyIceberg: `place` is a metadata.json."""
from pyiceberg.table import StaticTable


def ask(question):
    table = StaticTable.from_metadata(question["place"], properties(question.get("s3")))
    options = {"snapshot_id": question["at"]} if "at" in question else {}
    if "columns" in question:
        options["selected_fields"] = tuple(question["columns"])
    if "where" in question:
        options["row_filter"] = question["where"]
    return table.scan(**options).to_arrow()


def properties(s3):
    if s3 is None:
        return {}
    return {"s3.endpoint": s3["endpoint"], "s3.access-key-id": s3["key"], "s3.secret-access-key": s3["secret"], "s3.region": s3["region"]}

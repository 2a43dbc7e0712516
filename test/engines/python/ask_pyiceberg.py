"""PyIceberg: `place` is a metadata.json; format `rest`: the URL of an Iceberg REST catalog."""
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable


def ask(question):
    table = loaded(question) if question["format"] == "rest" else StaticTable.from_metadata(question["place"], properties(question.get("s3")))
    options = {"snapshot_id": question["at"]} if "at" in question else {}
    if "columns" in question:
        options["selected_fields"] = tuple(question["columns"])
    if "where" in question:
        options["row_filter"] = question["where"]
    return table.scan(**options).to_arrow()


def loaded(question):
    settings = {"type": "rest", "uri": question["place"], "warehouse": question["warehouse"], **properties(question.get("s3"))}
    if "token" in question:
        settings["token"] = question["token"]
    if "planning" in question:
        settings["scan-planning-mode"] = question["planning"]
    return load_catalog("rest", **settings).load_table(tuple(question["table"]))


def properties(s3):
    if s3 is None:
        return {}
    return {"s3.endpoint": s3["endpoint"], "s3.access-key-id": s3["key"], "s3.secret-access-key": s3["secret"], "s3.region": s3["region"]}

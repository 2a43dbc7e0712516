"""Writes a table by PyIceberg or deltalake, from values as canonical.py prints them: {"format", "place": a new folder, "columns", "values"}.

@returns where the table is: a metadata.json, or the folder
"""
import struct
from decimal import Decimal

import pyarrow as pa


def ask(question):
    columns = question["columns"]
    arrays = [pa.array([value(column["type"], v) for v in values], arrow_type(column["type"])) for column, values in zip(columns, question["values"])]
    table = pa.table(arrays, names=[column["name"] for column in columns])
    return {"place": WRITERS[question["format"]](table, question["place"])}


def write_iceberg(table, folder):
    from pyiceberg.catalog.memory import InMemoryCatalog
    catalog = InMemoryCatalog("m", warehouse=f"file://{folder}")
    catalog.create_namespace("n")
    written = catalog.create_table("n.t", schema=table.schema)
    written.append(table)
    return written.metadata_location.removeprefix("file://")


def write_delta(table, folder):
    import deltalake
    deltalake.write_deltalake(folder, table)
    return folder


WRITERS = {"iceberg": write_iceberg, "delta": write_delta}

PLAIN = {
    "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(), "date": pa.date32(), "string": pa.string(),
    "binary": pa.binary(),
}


def arrow_type(type):
    kind = type["kind"]
    if kind == "decimal":
        return pa.decimal128(type["precision"], type["scale"])
    if kind == "timestamp":
        return pa.timestamp("us", "UTC" if type["utc"] else None)
    if kind == "list":
        return pa.list_(arrow_type(type["element"]))
    if kind == "map":
        return pa.map_(pa.string(), arrow_type(type["value"]))
    if kind == "struct":
        return pa.struct([(field["name"], arrow_type(field["type"])) for field in type["fields"]])
    return PLAIN[kind]


def value(type, v):
    if v is None:
        return None
    kind = type["kind"]
    if kind in ("long", "timestamp"):
        return int(v)
    if kind == "float":
        return struct.unpack("<f", struct.pack("<I", v))[0]
    if kind == "double":
        return struct.unpack(">d", bytes.fromhex(v))[0]
    if kind == "decimal":
        return Decimal(v)
    if kind == "binary":
        return bytes.fromhex(v)
    if kind == "list":
        return [value(type["element"], element) for element in v]
    if kind == "map":
        return [(key, value(type["value"], item)) for key, item in v]
    if kind == "struct":
        return {field["name"]: value(field["type"], part) for field, part in zip(type["fields"], v)}
    return v

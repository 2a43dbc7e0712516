"""Arrow tables as JSON, the same for every engine: test/engines/canonical.ts reads it.

A type is the ColumnType of src/vector/columntype.ts, or {"kind": "other", "name": …}. A value is null, or
boolean true, false | int, date (days since 1970) a number | long, time, timestamp (microseconds) decimal digits | float its bits, a number |
double its bits, 16 hex digits | decimal its text with all fractional digits | string the text, or {"hex": …} if its bytes are not UTF-8 |
binary hex digits | uuid its text | list, struct an array of values | map an array of [key, value].
"""
import numpy as np
import pyarrow as pa
import pyarrow.types as is_


def reply(table):
    """@param table a pyarrow.Table @returns what is printed for it: columns, and of each one its values"""
    columns = [{"name": field.name, "type": kind(field.type)} for field in table.schema]
    return {"columns": columns, "rows": table.num_rows, "values": [values(whole(table.column(i))) for i in range(table.num_columns)]}


def whole(column):
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks) if chunks else pa.array([], column.type)


def kind(type):
    if isinstance(type, pa.BaseExtensionType):
        return {"kind": "uuid"} if type.extension_name == "arrow.uuid" else kind(type.storage_type)
    if is_.is_dictionary(type):
        return kind(type.value_type)
    if is_.is_decimal(type):
        return {"kind": "decimal", "precision": type.precision, "scale": type.scale}
    if is_.is_timestamp(type) and type.unit == "us":
        return {"kind": "timestamp", "utc": type.tz is not None}
    if is_list(type):
        return {"kind": "list", "element": kind(type.value_type)}
    if is_.is_map(type):
        return {"kind": "map", "value": kind(type.item_type)}
    if is_.is_struct(type):
        return {"kind": "struct", "fields": [{"name": field.name, "type": kind(field.type)} for field in type]}
    for name, test in PLAIN.items():
        if test(type):
            return {"kind": name}
    return {"kind": "other", "name": str(type)}


PLAIN = {
    "boolean": is_.is_boolean, "int": is_.is_int32, "long": is_.is_int64, "float": is_.is_float32, "double": is_.is_float64, "date": is_.is_date32,
    "time": lambda type: is_.is_time64(type) and type.unit == "us",
    "string": lambda type: is_.is_string(type) or is_.is_large_string(type) or is_.is_string_view(type),
    "binary": lambda type: is_.is_binary(type) or is_.is_large_binary(type) or is_.is_binary_view(type) or is_.is_fixed_size_binary(type),
}


def is_list(type):
    return is_.is_list(type) or is_.is_large_list(type) or is_.is_fixed_size_list(type)


def values(array):
    """Of an Array, not of chunks."""
    if isinstance(array, pa.ExtensionArray):
        texts = values(array.storage)
        if array.type.extension_name != "arrow.uuid":
            return texts
        return [None if t is None else f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
    type = array.type
    if is_.is_dictionary(type):
        return values(array.dictionary_decode())
    present = array.is_valid().to_pylist()
    return [value if there else None for value, there in zip(stored(array, type), present)]


def stored(array, type):
    """As values, but what is at a null is anything."""
    if is_.is_float32(type) or is_.is_float64(type):
        return bits(array)
    if is_.is_decimal(type):
        return [value if value is None else format(value, "f") for value in array.to_pylist()]
    if is_.is_int64(type) or is_.is_timestamp(type) or is_.is_time64(type):
        return [str(value) for value in array.view(pa.int64()).to_pylist()]
    if is_.is_date32(type):
        return array.view(pa.int32()).to_pylist()
    if PLAIN["string"](type):
        return [None if value is None else text(value) for value in as_bytes(array)]
    if PLAIN["binary"](type):
        return [None if value is None else value.hex() for value in as_bytes(array)]
    if is_.is_map(type):
        keys, items, offsets = values(array.keys), values(array.items), array.offsets.to_pylist()
        return [[list(pair) for pair in zip(keys[at:end], items[at:end])] for at, end in zip(offsets, offsets[1:])]
    if is_.is_fixed_size_list(type):
        return stored(array.cast(pa.list_(type.value_type)), pa.list_(type.value_type))
    if is_list(type):
        elements, offsets = values(array.values), array.offsets.to_pylist()
        return [elements[at:end] for at, end in zip(offsets, offsets[1:])]
    if is_.is_struct(type):
        fields = [values(field) for field in array.flatten()]
        return [list(row) for row in zip(*fields)] if fields else [[]] * len(array)
    return [value if isinstance(value, (bool, int)) or value is None else str(value) for value in array.to_pylist()]


def bits(array):
    wide = is_.is_float64(array.type)
    buffer = array.buffers()[1]
    if buffer is None:
        return [None] * len(array)
    words = np.frombuffer(buffer, dtype=np.uint64 if wide else np.uint32)[array.offset:array.offset + len(array)].tolist()
    return [f"{word:016x}" for word in words] if wide else words


def as_bytes(array):
    """Text by its bytes: an engine may call bytes a string that are none."""
    type = array.type
    large = is_.is_large_string(type) or is_.is_large_binary(type)
    if is_.is_string_view(type) or is_.is_binary_view(type):
        array = array.cast(pa.large_binary()) if is_.is_binary_view(type) else array.cast(pa.large_string())
        large = True
    if is_.is_string(array.type) or is_.is_large_string(array.type):
        array = array.view(pa.large_binary() if large else pa.binary())
    return array.to_pylist()


def text(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}

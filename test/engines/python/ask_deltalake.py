"""deltalake (delta-rs): its QueryBuilder; `reader: pyarrow` for to_pyarrow_table. `place` is the folder of a table."""
import pyarrow
from deltalake import DeltaTable, QueryBuilder


def ask(question):
    s3 = question.get("s3")
    options = None if s3 is None else {
        "AWS_ENDPOINT_URL": s3["endpoint"], "AWS_ACCESS_KEY_ID": s3["key"], "AWS_SECRET_ACCESS_KEY": s3["secret"], "AWS_REGION": s3["region"], "AWS_ALLOW_HTTP": "true"}
    table = DeltaTable(question["place"], version=question.get("at"), storage_options=options)
    if question.get("reader") == "pyarrow":
        return table.to_pyarrow_table()
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in question.get("columns", [])) or "*"
    where = f" WHERE {question['where']}" if "where" in question else ""
    return pyarrow.table(QueryBuilder().register("t", table).execute(question.get("sql", f"SELECT {columns} FROM t{where}")).read_all())

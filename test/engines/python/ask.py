"""python ask.py <engine>: answers one question a line until its input ends: {"id", …question} gives {"id", "columns", "rows", "values"} (canonical.py) or
{"id", "error"}. Engines: pyiceberg, duckdb, polars, deltalake, spark, clickhouse, pyarrow; `write` makes tables. Questions: see test/engines/engine.ts.
"""
import importlib
import json
import os
import sys


def main():
    # Engines print what they like: answers have a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    engine = importlib.import_module(f"ask_{sys.argv[1]}")
    from canonical import reply
    for line in sys.stdin:
        question = json.loads(line)
        if "at" in question:
            question["at"] = int(question["at"])
        try:
            found = engine.ask(question)
            answer = reply(found) if hasattr(found, "schema") else found
        except BaseException as error:  # Rust panics are none of Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({"id": question["id"], **answer}) + "\n")
        answers.flush()


main()

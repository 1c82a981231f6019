"""Inserts rows through pymilvus and prints rows per second as JSON.

usage: insert_pymilvus.py URI DATA DIM ROWS     (DATA.base: float32 rows)
"""
import json
import sys
import time

import numpy as np
from pymilvus import DataType, MilvusClient

uri, data, dim, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BATCH = 1000

client = MilvusClient(uri)
schema = client.create_schema()
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
client.create_collection("bench_sdk", schema=schema)
base = np.fromfile(data + ".base", dtype="f4", count=rows * dim).reshape(rows, dim)
batches = [
    [{"id": i, "vector": base[i]} for i in range(first, min(rows, first + BATCH))]
    for first in range(0, rows, BATCH)
]
started = time.perf_counter()
for batch in batches:
    client.insert("bench_sdk", batch)
print(json.dumps({"rowsPerSecond": rows / (time.perf_counter() - started)}))

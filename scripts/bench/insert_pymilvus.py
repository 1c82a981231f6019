"""Inserts rows through pymilvus and prints rows per second as JSON.

usage: insert_pymilvus.py URI|lite DATA DIM ROWS     (DATA.base: float32 rows; `lite` starts a milvus-lite server)
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

uri, data, dim, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BATCH = 1000


def start_lite(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = os.path.join(os.path.dirname(sys.executable), "milvus-lite")
    command = [program, "server", "--data-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return child, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.05)
    child.kill()
    raise SystemExit("milvus-lite did not start")


def insert(address):
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(address)
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
    seconds = time.perf_counter() - started
    client.drop_collection("bench_sdk")
    return rows / seconds


if uri == "lite":
    with tempfile.TemporaryDirectory() as folder:
        child, address = start_lite(folder)
        try:
            rate = insert(address)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
else:
    rate = insert(uri)
print(json.dumps({"rowsPerSecond": rate}))

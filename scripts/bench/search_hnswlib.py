"""Sweeps ef of an hnswlib index over the data and prints [{ef, recall, qps}] as JSON.

The index is cached by the data. DATA.base and .query: float32 rows; .gt: int32, 100 a query.

usage: search_hnswlib.py DATA DIM M EFC K THREADS EF...
"""
import json
import os
import sys
import time

import hnswlib
import numpy as np

data = sys.argv[1]
dim, m, efc, k, threads, *efs = map(int, sys.argv[2:])
SECONDS = 1.0

query = np.fromfile(data + ".query", dtype="f4").reshape(-1, dim)
truth = np.fromfile(data + ".gt", dtype="i4").reshape(len(query), -1)[:, :k]
rows = os.path.getsize(data + ".base") // (4 * dim)
index = hnswlib.Index(space="ip", dim=dim)
cached = f"{data}.hnswlib-{m}-{efc}"
if os.path.exists(cached):
    index.load_index(cached, max_elements=rows)
else:
    index.init_index(max_elements=rows, M=m, ef_construction=efc)
    index.add_items(np.fromfile(data + ".base", dtype="f4").reshape(rows, dim), num_threads=2)
    index.save_index(cached)
points = []
for ef in efs:
    index.set_ef(ef)
    ids, _ = index.knn_query(query, k=k, num_threads=threads)
    recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, truth)]) / k
    calls = 0
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        index.knn_query(query, k=k, num_threads=threads)
        calls += len(query)
    points.append({"ef": ef, "recall": recall, "qps": calls / (time.perf_counter() - started)})
print(json.dumps(points))

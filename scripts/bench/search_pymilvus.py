"""Serial searches through pymilvus; prints {"p50Us": …, "p99Us": …} as JSON.

usage: search_pymilvus.py URI DATA DIM K EF
"""
import json
import sys
import time

import numpy as np
from pymilvus import MilvusClient

uri, data = sys.argv[1:3]
dim, k, ef = map(int, sys.argv[3:6])
query = np.fromfile(data + ".query", dtype="f4").reshape(-1, dim)
client = MilvusClient(uri)
vectors = [q.tolist() for q in query]
params = {"metric_type": "IP", "params": {"ef": ef}}
times = []
for i in range(1500):
    started = time.perf_counter()
    client.search("bench", [vectors[i % len(vectors)]], limit=k, search_params=params)
    times.append((time.perf_counter() - started) * 1e6)
times = sorted(times[200:])
print(json.dumps({"p50Us": times[len(times) // 2], "p99Us": times[len(times) * 99 // 100]}))

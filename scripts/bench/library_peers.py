"""hnswlib and faiss in process, as JSON:
{hnsw: {name-threads: [{ef, recall, qps}]}, flatQps: {name-threads-batch: qps}}.

As many Python threads as asked (both libraries release the interpreter lock) make calls with BATCH
queries each. Indexes are cached by the data.

usage: library_peers.py DATA DIM M EFC K BATCH EF...
"""
import json
import os
import sys
import threading
import time

import faiss
import hnswlib
import numpy as np

data = sys.argv[1]
dim, m, efc, k, batch, *efs = map(int, sys.argv[2:])
SECONDS = 1.0

base = np.fromfile(data + ".base", dtype="f4").reshape(-1, dim)
query = np.fromfile(data + ".query", dtype="f4").reshape(-1, dim)
truth = np.fromfile(data + ".gt", dtype="i4").reshape(len(query), -1)[:, :k]
faiss.omp_set_num_threads(2)


def cached(name, build, load, save):
    path = f"{data}.{name}-{m}-{efc}"
    if os.path.exists(path):
        return load(path)
    index = build()
    save(index, path)
    return index


def build_hnswlib():
    index = hnswlib.Index(space="ip", dim=dim)
    index.init_index(max_elements=len(base), M=m, ef_construction=efc)
    index.add_items(base, num_threads=2)
    return index


def load_hnswlib(path):
    index = hnswlib.Index(space="ip", dim=dim)
    index.load_index(path, max_elements=len(base))
    return index


def build_faiss():
    index = faiss.IndexHNSWFlat(dim, m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = efc
    index.add(base)
    return index


def measure_qps(threads, batch, run):
    until = time.perf_counter() + SECONDS
    calls = [0] * threads

    def work(thread):
        faiss.omp_set_num_threads(1)  # holds for the thread that calls it
        i = thread
        while time.perf_counter() < until:
            first = i * batch % len(query)
            run(query[first : first + batch])
            calls[thread] += 1
            i += threads

    workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(calls) * batch / (time.perf_counter() - started)


def recall_of(ids):
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, truth)]) / k)


flat = faiss.IndexFlatIP(dim)
flat.add(base)
hnswlib_index = cached("hnswlib", build_hnswlib, load_hnswlib, lambda i, p: i.save_index(p))
faiss_index = cached("faiss", build_faiss, faiss.read_index, faiss.write_index)
out = {"hnsw": {}, "flatQps": {}}
for threads in (1, 2):
    for size in (1, batch):
        qps = measure_qps(threads, size, lambda queries: flat.search(queries, k))
        out["flatQps"][f"faiss-{threads}-{size}"] = qps
    out["hnsw"][f"hnswlib-{threads}"] = points = []
    for ef in efs:
        hnswlib_index.set_ef(ef)
        recall = recall_of(hnswlib_index.knn_query(query, k=k, num_threads=1)[0])

        def run(queries):
            hnswlib_index.knn_query(queries, k=k, num_threads=1)

        points.append({"ef": ef, "recall": recall, "qps": measure_qps(threads, batch, run)})
    out["hnsw"][f"faiss-{threads}"] = points = []
    for ef in efs:
        faiss_index.hnsw.efSearch = ef
        recall = recall_of(faiss_index.search(query, k)[1])
        qps = measure_qps(threads, batch, lambda queries: faiss_index.search(queries, k))
        points.append({"ef": ef, "recall": recall, "qps": qps})
print(json.dumps(out))

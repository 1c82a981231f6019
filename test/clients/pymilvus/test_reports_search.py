"""Searches that users of Milvus and of its rivals reported as answered wrongly or not at all."""

import math
import os
import threading
import time
import urllib.request

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, RRFRanker, WeightedRanker

from helpers import CLIENT, create, ids_of, make_index, make_schema, query, refused, search

RNG_SEED = 4


def wait_for_index(client, name):
    deadline = time.time() + 60
    while client.describe_index(name, "vector").get("pending_index_rows", 0):
        assert time.time() < deadline, "the index is not finished"
        time.sleep(0.05)


def fill(client, name, data, written=True):
    client.insert(name, [{"id": i, "vector": v} for i, v in enumerate(data)])
    if written:
        client.flush(name)
        wait_for_index(client, name)


def exact_scores(metric, data, vector):
    data, vector = data.astype(np.float64), vector.astype(np.float64)
    if metric == "L2":
        return ((data - vector) ** 2).sum(1)
    if metric == "IP":
        return data @ vector
    return data @ vector / np.linalg.norm(data, axis=1) / np.linalg.norm(vector)


@pytest.mark.parametrize("metric, index_type", [
    ("L2", "FLAT"), ("COSINE", "HNSW"), ("IP", "HNSW"),
])
def test_a_narrow_range_holds_what_an_exact_scan_finds(client, name, metric, index_type):
    rng = np.random.default_rng(RNG_SEED)
    data = rng.standard_normal((1500, 16)).astype(np.float32)
    data *= rng.lognormal(0, 0.6, (1500, 1)).astype(np.float32)
    create(client, name, dim=16, metric_type=metric, index_type=index_type)
    fill(client, name, data)
    lost = wanted = 0
    for vector in rng.standard_normal((6, 16)).astype(np.float32):
        scores = exact_scores(metric, data, vector)
        ordered = np.sort(scores) if metric == "L2" else np.sort(scores)[::-1]
        for first, last in ((1, 30), (200, 260), (900, 960)):
            bounds = {"range_filter": float(ordered[first - 1] + ordered[first]) / 2,
                      "radius": float(ordered[last - 1] + ordered[last]) / 2}
            hits = search(client, name, vector, limit=150,
                          search_params={"params": {**bounds, "ef": 256}})
            inside = set(np.argsort(scores if metric == "L2" else -scores)[first:last].tolist())
            found = set(ids_of(hits))
            assert found <= inside
            lost, wanted = lost + len(inside - found), wanted + len(inside)
    assert lost <= (0 if index_type == "FLAT" else 0.05 * wanted), "%d of %d" % (lost, wanted)


def test_a_narrower_radius_keeps_the_near_hits(client, name):
    data = np.random.default_rng(RNG_SEED).standard_normal((1100, 8)).astype(np.float32)
    create(client, name, dim=8, metric_type="COSINE", index_type="HNSW")
    fill(client, name, data)
    wide = search(client, name, data[5], limit=200, search_params={"params": {"ef": 400}})
    middle = sorted(hit["distance"] for hit in wide)[100]
    narrow = search(client, name, data[5], limit=200,
                    search_params={"params": {"radius": middle, "ef": 400}})
    assert {hit["id"] for hit in wide if hit["distance"] > middle} <= set(ids_of(narrow))


@pytest.mark.parametrize("index_type", ["FLAT", "HNSW"])
def test_a_vector_finds_itself_within_a_cosine_of_1(client, name, index_type):
    data = np.random.default_rng(RNG_SEED).standard_normal((1200, 3)).astype(np.float32)
    data[0] = [3, 4, 5]
    create(client, name, dim=3, metric_type="COSINE", index_type=index_type)
    fill(client, name, data)
    bounds = {"radius": 0.6, "range_filter": 1.0}
    found = client.search(name, data=list(data[:150]), limit=20,
                          search_params={"params": {**bounds, "ef": 100}})
    assert [i for i, hits in enumerate(found) if i not in ids_of(hits)] == []
    assert max(hit["distance"] for hits in found for hit in hits) <= 1.0


@pytest.mark.parametrize("metric, index_type", [
    ("L2", "FLAT"), ("COSINE", "HNSW"), ("IP", "IVF_FLAT"),
])
def test_zero_huge_and_tiny_vectors_upset_nothing(client, name, metric, index_type):
    data = np.random.default_rng(6).standard_normal((1100, 4)).astype(np.float32)
    data[7] = data[700] = 0
    if metric == "L2":
        data[11], data[12], data[13] = 1e30, 3e38, 1e-40
    if metric == "COSINE":
        data[11], data[12] = [0, 1e30, 0, 0], [1e-42, 0, 0, 0]
    create(client, name, metric_type=metric, index_type=index_type)
    fill(client, name, data)
    hits = search(client, name, [1, 0.5, 0, -0.25], limit=1100,
                  search_params={"params": {"ef": 1100, "nprobe": 128}})
    scores = [hit["distance"] for hit in hits]
    assert len(set(ids_of(hits))) == 1100
    assert not any(math.isnan(s) for s in scores)
    assert scores == sorted(scores, reverse=metric != "L2")
    if metric == "COSINE":
        assert {hit["distance"] for hit in hits if hit["id"] in (7, 700)} == {0.0}
        assert {hit["distance"] for hit in search(client, name, [0, 0, 0, 0], limit=5)} == {0.0}
    for value in (math.nan, math.inf):
        with refused(1100):
            search(client, name, [value, 0, 0, 0])


def test_pages_over_repeated_keys_meet_every_key(client, name):
    create(client, name, ("n", DataType.INT64))
    for copy in range(3):
        client.insert(name, [{"id": i, "vector": [i, copy, 0, 1], "n": copy} for i in range(60)])
        if copy == 1:
            client.flush(name)
    client.insert(name, [{"id": i % 60, "vector": [i % 60, 4, 0, 1], "n": 4} for i in range(120)])
    keys = list(range(60))

    def look():
        for size in (7, 25):
            seen, at = set(), 0
            while page := query(client, name, "id >= 0", limit=size, offset=at):
                seen |= {row["id"] for row in page}
                at += size
                assert at <= 1000, "pages do not end"
            walk, met = client.query_iterator(name, batch_size=size, filter="id >= 0"), set()
            while page := walk.next():
                met |= {row["id"] for row in page}
            walk.close()
            assert sorted(seen) == sorted(met) == keys
        for limit in (1, 59, 60, 200):
            found = ids_of(search(client, name, [0, 0, 0, 1], limit=limit))
            assert len(found) == len(set(found)) == min(limit, 60)
        pages = [key for at in range(0, 60, 20)
                 for key in ids_of(search(client, name, [0, 0, 0, 1], limit=20, offset=at))]
        assert sorted(pages) == keys

    look()
    client.flush(name)
    look()
    client.upsert(name, [{"id": i, "vector": [i, 9, 9, 1], "n": 9} for i in range(30)])
    client.delete(name, ids=list(range(30, 60)))
    assert [row["n"] for row in query(client, name, "id >= 0", output_fields=["n"])] == [9] * 30


@pytest.mark.parametrize("kind, key", [
    (DataType.INT64, lambda i: i * 7 - 50), (DataType.VARCHAR, lambda i: "k'%d\"日\\" % i),
])
def test_a_search_by_keys_is_one_by_their_vectors(client, name, kind, key):
    if CLIENT < (2, 6):
        pytest.skip("this client cannot search by keys")
    data = np.random.default_rng(9).standard_normal((200, 8)).astype(np.float32)
    create(client, name, ("n", DataType.INT64), key=("id", kind), dim=8, metric_type="COSINE")
    rows = [{"id": key(i), "vector": v, "n": i} for i, v in enumerate(data)]
    client.insert(name, rows[:120])
    client.flush(name)
    client.insert(name, rows[120:])
    client.upsert(name, [{"id": key(5), "vector": data[150], "n": 5}])
    data[5] = data[150]
    client.delete(name, filter="id in {keys}", filter_params={"keys": [key(9)]})

    def hits_of(answer):
        return [[(hit["id"], round(hit["distance"], 5)) for hit in hits] for hits in answer]

    for picked, options in (([3], {}), ([150, 3, 5], {}), (list(range(10, 40)), {}),
                            ([3, 4], {"offset": 2, "filter": "n % 2 == 0"})):
        by_key = client.search(name, ids=[key(i) for i in picked], limit=7, **options)
        by_vector = client.search(name, data=[data[i] for i in picked], limit=7, **options)
        assert hits_of(by_key) == hits_of(by_vector)
    for absent in (5000, 9):
        with refused(1100, str(key(absent))[:4]):
            client.search(name, ids=[key(3), key(absent)], limit=3)
    with refused(1100, "duplicate"):
        client.search(name, ids=[key(1), key(2), key(1)], limit=3)


def part(at, limit=4, field="vector", **options):
    param = options.pop("param", {"params": {}})
    return AnnSearchRequest(data=[at], anns_field=field, param=param, limit=limit, **options)


def hybrid(client, name, parts, ranker, limit, **options):
    return ids_of(client.hybrid_search(name, parts, ranker, limit=limit, **options)[0])


def test_a_second_page_of_a_hybrid_search_follows_the_first(client, name):
    create(client, name, dim=2)
    fill(client, name, [[float(i), 0.0] for i in range(8)], written=False)
    parts = [part([0.0, 0.0]), part([5.0, 0.0])]
    assert hybrid(client, name, parts, RRFRanker(), 4) == [3, 0, 5, 1]
    assert hybrid(client, name, parts, RRFRanker(), 4, offset=4) == [4, 2, 6]


@pytest.fixture(scope="module")
def two(client, module_name):
    """Two vector fields of 300 rows, of which some have equal scores."""
    name = module_name + "_two"
    client.create_collection(name, schema=make_schema(("n", DataType.INT64), vectors=("a", "b")))
    client.create_index(name, make_index("a", metric_type="COSINE"), sync=False)
    index = make_index("b", index_type="HNSW", metric_type="L2", M=16, efConstruction=100)
    client.create_index(name, index, sync=False)
    client.load_collection(name)
    base = np.random.default_rng(11).uniform(-1, 1, (300, 8)).astype(np.float32)
    client.insert(name, [{"id": i, "a": base[i // 2][:4], "b": base[i // 3][4:], "n": i % 5}
                         for i in range(300)])
    yield name
    client.drop_collection(name)


A, B = [0.5, -0.25, 0.75, 0.1], [-0.5, 0.3, 0.2, 0.9]


def two_parts(limit=60, ef=200, **options):
    return [part(A, limit, "a", **options.get("a", {})),
            part(B, limit, "b", param={"params": {"ef": ef}}, **options.get("b", {}))]


RANKERS = {"rrf": RRFRanker(), "rrf 10": RRFRanker(k=10), "weighted": WeightedRanker(0.3, 0.7),
           "as they are": WeightedRanker(0.3, 0.7, norm_score=False)}


@pytest.mark.parametrize("ranker", RANKERS)
def test_pages_of_a_hybrid_search_are_the_long_answer(client, two, ranker):
    ranker = RANKERS[ranker]
    whole = hybrid(client, two, two_parts(), ranker, 60)
    assert len(set(whole)) == 60
    for size in (7, 20):
        pages = [key for at in range(0, 60, size)
                 for key in hybrid(client, two, two_parts(), ranker, min(size, 60 - at), offset=at)]
        assert pages == whole
    assert hybrid(client, two, two_parts(20, ef=20), ranker, 10, offset=500) == []


def test_parts_of_a_hybrid_search_keep_what_is_theirs(client, two):
    filters = {"a": {"expr": "n == 1"}, "b": {"expr": "n == 2"}}
    found = hybrid(client, two, two_parts(100, **filters), RRFRanker(), 300)
    rows = query(client, two, "id in %s" % found, output_fields=["n"])
    assert (len(found), {row["n"] for row in rows}) == (120, {1, 2})
    opposite = [part(A, 50, "a"), part([-x for x in A], 50, "a")]
    assert len(set(hybrid(client, two, opposite, RRFRanker(), 100))) == 100


def test_an_offset_in_one_part_only_is_refused(client, two):
    parts = [part(A, 50, "a", param={"params": {}, "offset": 10}), part(B, 50, "b")]
    with refused(1100, "offset [10] of a sub-search"):
        hybrid(client, two, parts, RRFRanker(), 10)
    for limit, offset in ((16385, 0), (1, 16384)):
        with refused(1100):
            hybrid(client, two, two_parts(), RRFRanker(), limit, offset=offset)


def resident_mib():
    text = urllib.request.urlopen(os.environ["ELANUS_METRICS"], timeout=10).read().decode()
    line = next(l for l in text.splitlines() if l.startswith("process_resident_memory_bytes"))
    return float(line.split()[-1]) / 2**20


def test_an_answer_that_is_too_large_is_refused_before_it_is_made(client, name):
    """60 queries for 500 vectors of 16 KiB are 490 MB; the limit is 100 MiB."""
    if "ELANUS_METRICS" not in os.environ:
        pytest.skip("where the server's metrics are is not known")
    create(client, name, dim=4096)
    data = np.random.default_rng(1).standard_normal((500, 4096)).astype(np.float32)
    for at in (0, 250):
        client.insert(name, [{"id": i, "vector": data[i]} for i in range(at, at + 250)])
    before, peak, done = resident_mib(), [0.0], threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], resident_mib())
            done.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with refused((1100, 1102), "max"):
            client.search(name, data=[[0.5] * 4096] * 60, limit=500, output_fields=["vector"])
    finally:
        done.set()
        watcher.join()
    assert peak[0] - before < 250, "%d MiB more" % (peak[0] - before)
    assert len(search(client, name, data[3], limit=5)) == 5

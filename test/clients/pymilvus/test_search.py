"""Search: scores computed by hand, parameters, ranges, pages, output, by keys; hybrid search."""

import math

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, RRFRanker, WeightedRanker

from helpers import (
    CLIENT,
    create,
    ids_of,
    keys_of,
    make_index,
    make_schema,
    rank,
    refused,
    score,
    search,
    unit,
)

METRICS = ["L2", "IP", "COSINE"]
INDEXES = ["FLAT", "IVF_FLAT", "HNSW", "AUTOINDEX"]
ROWS = 60
VECTORS = {i: unit(i, 6) for i in range(ROWS)}


@pytest.fixture(scope="module", params=METRICS)
def filled(request, client, module_name):
    """Half of the rows flushed, half growing."""
    metric = request.param
    if client.has_collection(module_name):
        client.drop_collection(module_name)
    create(client, module_name, ("n", DataType.INT64), ("t", DataType.VARCHAR, {"max_length": 8}),
           metric_type=metric, dim=6, dynamic=True)
    rows = [{"id": i, "vector": VECTORS[i], "n": i % 5, "t": "t%d" % i, "extra": i}
            for i in VECTORS]
    client.insert(module_name, rows[::2])
    client.flush(module_name)
    client.insert(module_name, rows[1::2])
    return module_name, metric


QUERY = [0.5, -0.25, 0.125, 0.75, -0.5, 0.3125]


def assert_hits(hits, expected):
    """Same scores in the same order; equal scores may come in any order."""
    distances = [hit["distance"] for hit in hits]
    assert distances == pytest.approx([s for _, s in expected], rel=1e-5, abs=1e-6)
    by_key = dict(expected)
    for hit in hits:
        assert hit["distance"] == pytest.approx(by_key[hit["id"]], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("limit", [1, 5, 60, 100])
def test_scores_are_those_of_the_definition(client, filled, limit):
    name, metric = filled
    hits = search(client, name, QUERY, limit=limit)
    expected = rank(metric, QUERY, VECTORS)[:limit]
    assert len(hits) == min(limit, ROWS)
    assert_hits(hits, expected)


def test_several_queries_in_one_call(client, filled):
    name, metric = filled
    queries = [QUERY, unit(3, 6), unit(500, 6)]
    for hits, vector in zip(client.search(name, data=queries, limit=7), queries):
        assert_hits(hits, rank(metric, vector, VECTORS)[:7])


def test_filtered_search(client, filled):
    name, metric = filled
    hits = search(client, name, QUERY, filter="n == 3 and t != 't8'", limit=20)
    expected = {i: v for i, v in VECTORS.items() if i % 5 == 3 and i != 8}
    assert_hits(hits, rank(metric, QUERY, expected))


@pytest.mark.parametrize("offset", [0, 1, 10, 55, 60, 100])
def test_offset_skips_hits(client, filled, offset):
    name, metric = filled
    hits = search(client, name, QUERY, limit=10, offset=offset)
    assert_hits(hits, rank(metric, QUERY, VECTORS)[offset:offset + 10])


@pytest.mark.parametrize("bounded", [False, True])
def test_range_search(client, filled, bounded):
    name, metric = filled
    ranked = rank(metric, QUERY, VECTORS)
    radius, near = ranked[30][1], ranked[10][1]
    params = {"radius": radius, **({"range_filter": near} if bounded else {})}
    hits = search(client, name, QUERY, limit=60, search_params={"params": params})
    # Bounds that are scores themselves are a matter of rounding: look at the rows between.
    inside = [key for key, _ in ranked[11 if bounded else 0:30]]
    found = ids_of(hits)
    assert set(inside) <= set(found) <= set(inside) | {ranked[10][0], ranked[30][0]}
    flat = search(client, name, QUERY, limit=60, search_params=params)
    assert ids_of(flat) == found or len(flat) == ROWS  # 2.5 drops flat keys


def test_a_range_the_wrong_way_round_is_refused(client, filled):
    name, metric = filled
    low, high = (2.0, 1.0) if metric != "L2" else (1.0, 2.0)
    with refused(1100, "range_filter"):
        client.search(name, data=[QUERY], limit=5,
                      search_params={"params": {"radius": low, "range_filter": high}})
    with refused(1100, "range_filter"):
        client.search(name, data=[QUERY], limit=5, search_params={"params": {"range_filter": high}})


@pytest.mark.parametrize("decimals", [0, 1, 3, 6])
def test_round_decimal(client, filled, decimals):
    name, metric = filled
    hits = search(client, name, QUERY, limit=5, round_decimal=decimals)
    for hit in hits:
        exact = score(metric, QUERY, VECTORS[hit["id"]])
        assert abs(hit["distance"] - exact) <= 0.5 * 10**-decimals + 1e-5
        assert hit["distance"] == pytest.approx(round(hit["distance"], decimals), abs=1e-6)


def test_output_fields_of_a_search(client, filled):
    name, _ = filled
    output = ["vector", "n", "extra"]
    hit = search(client, name, VECTORS[7], filter="id == 7", output_fields=output)[0]
    assert hit["id"] == 7
    assert [float(x) for x in hit["entity"]["vector"]] == VECTORS[7]
    assert hit["entity"]["n"] == 2
    assert hit["entity"]["extra"] == 7
    entity = search(client, name, VECTORS[7], filter="id == 7", output_fields=["*"])[0]["entity"]
    assert set(entity) - {"$meta"} == {"id", "vector", "n", "t", "extra"}
    assert "$meta" not in search(client, name, VECTORS[7], limit=1)[0]["entity"]


def test_another_metric_than_the_index_has_is_refused(client, filled):
    name, metric = filled
    other = "IP" if metric != "IP" else "L2"
    with refused(1100, "metric type not match"):
        client.search(name, data=[QUERY], limit=1, search_params={"metric_type": other})
    hits = search(client, name, QUERY, limit=3, search_params={"metric_type": metric.lower()})
    assert_hits(hits, rank(metric, QUERY, VECTORS)[:3])


def test_search_by_primary_keys(client, filled):
    name, metric = filled
    if CLIENT < (2, 6):
        pytest.skip("this client cannot search by keys")
    found = client.search(name, data=None, ids=[5, 12], limit=4)
    for hits, key in zip(found, (5, 12)):
        assert_hits(hits, rank(metric, VECTORS[key], VECTORS)[:4])
    with refused(1100, "primary key IDs do not exist"):
        client.search(name, data=None, ids=[5, 10_000], limit=4)


@pytest.mark.parametrize("index_type", INDEXES)
def test_search_by_the_key_of_a_row_without_a_vector_finds_nothing(client, name, index_type):
    if CLIENT < (2, 6):
        pytest.skip("this client cannot search by keys")
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4, nullable=True)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type=index_type, metric_type="L2")
    client.create_collection(name, schema=schema, index_params=indexes)
    rows = [{"id": i, "vector": None if i % 2 else [i, 1.0, 2.0, 3.0]} for i in range(100)]
    client.insert(name, rows)
    for _ in ("growing", "sealed"):
        found = client.search(name, data=None, ids=[2, 3, 4], limit=5)
        assert [len(hits) for hits in found] == [5, 0, 5]
        client.flush(name)


@pytest.mark.parametrize("index_type", INDEXES)
@pytest.mark.parametrize("metric", METRICS)
def test_every_index_finds_the_nearest(client, name, index_type, metric):
    create(client, name, metric_type=metric, index_type=index_type, dim=8)
    generator = np.random.default_rng(7)
    vectors = generator.standard_normal((1500, 8)).astype(np.float32)
    client.insert(name, [{"id": i, "vector": v} for i, v in enumerate(vectors)])
    client.flush(name)
    params = {"IVF_FLAT": {"nprobe": 64}, "HNSW": {"ef": 200}}.get(index_type, {})
    exact = dict(enumerate(vectors.astype(np.float64).tolist()))
    found = 0
    for query in vectors[:10].astype(np.float64).tolist():
        hits = search(client, name, query, limit=10, search_params={"params": params})
        expected = rank(metric, query, exact)[:10]
        found += len({key for key, _ in expected} & set(ids_of(hits)))
        distances = [hit["distance"] for hit in hits]
        assert distances == sorted(distances, reverse=metric != "L2")
        for hit in hits:
            own = score(metric, query, exact[hit["id"]])
            assert hit["distance"] == pytest.approx(own, abs=1e-4)
    assert found >= 95


def test_cosine_leaves_stored_vectors_alone(client, name):
    create(client, name, metric_type="COSINE", dim=2)
    client.insert(name, [{"id": 1, "vector": [3.0, 4.0]}, {"id": 2, "vector": [-30.0, -40.0]}])
    hits = search(client, name, [6.0, 8.0], output_fields=["vector"])
    assert [hit["distance"] for hit in hits] == pytest.approx([1, -1])
    assert [float(x) for x in hits[0]["entity"]["vector"]] == [3.0, 4.0]


def test_search_in_an_empty_collection(client, name):
    create(client, name)
    found = client.search(name, data=[unit(1), unit(2)], limit=3)
    assert [list(hits) for hits in found] == [[], []]


@pytest.mark.parametrize("limit", [0, -1, 16385])
def test_a_wrong_limit_is_refused(client, filled, limit):
    name, _ = filled
    with refused((1, 1100, 65535)):
        client.search(name, data=[QUERY], limit=limit)


def test_a_window_that_is_too_large_is_refused(client, filled):
    name, _ = filled
    with refused((1100, 65535), "16384"):
        client.search(name, data=[QUERY], limit=10_000, offset=10_000)


@pytest.mark.parametrize("options,words", [
    ({"anns_field": "nope"}, "nope"),
    ({"anns_field": "n"}, "n"),
    ({"output_fields": ["a[b]"]}, "field"),
    ({"round_decimal": 7}, "round_decimal"),
    ({"offset": -1}, "offset"),
])
def test_wrong_parameters_are_refused(client, filled, options, words):
    name, _ = filled
    with refused((1, 1100, 65535), words):
        client.search(name, data=[QUERY], limit=1, **options)


@pytest.fixture(scope="module")
def two(client, module_name):
    name = module_name + "_two"
    create(client, name, ("n", DataType.INT64), vectors=("a", "b"), metric_type="COSINE", dim=6)
    client.insert(name, [{"id": i, "a": unit(i, 6), "b": unit(3 * i + 1, 6), "n": i % 3}
                         for i in range(40)])
    yield name
    client.drop_collection(name)


A = {i: unit(i, 6) for i in range(40)}
B = {i: unit(3 * i + 1, 6) for i in range(40)}


def request(field, limit=10, expr=None, metric="COSINE", vector=QUERY):
    return AnnSearchRequest(data=[vector], anns_field=field, limit=limit, expr=expr,
                            param={"metric_type": metric, "params": {}})


def fused(lists, weigh, limit):
    scores = {}
    for number, ranked in enumerate(lists):
        for position, (key, value) in enumerate(ranked):
            scores[key] = scores.get(key, 0) + weigh(number, position + 1, value)
    return sorted(scores.items(), key=lambda hit: -hit[1])[:limit]


@pytest.mark.parametrize("k", [60, 10, 1])
def test_hybrid_search_by_reciprocal_ranks(client, two, k):
    hits = client.hybrid_search(two, [request("a"), request("b")], RRFRanker(k), limit=12)[0]
    lists = [rank("COSINE", QUERY, A)[:10], rank("COSINE", QUERY, B)[:10]]
    expected = fused(lists, lambda _n, position, _s: 1 / (k + position), 12)
    assert [hit["distance"] for hit in hits] == pytest.approx([s for _, s in expected], rel=1e-5)
    full = dict(fused(lists, lambda _n, position, _s: 1 / (k + position), 100))
    for hit in hits:
        assert hit["distance"] == pytest.approx(full[hit["id"]], rel=1e-5)


@pytest.mark.parametrize("weights", [(0.7, 0.3), (1.0, 0.0), (0.5, 0.5)])
def test_hybrid_search_by_weights(client, two, weights):
    ranker = WeightedRanker(*weights, norm_score=True)
    hits = client.hybrid_search(two, [request("a"), request("b")], ranker, limit=10)[0]
    lists = [rank("COSINE", QUERY, A)[:10], rank("COSINE", QUERY, B)[:10]]
    weigh = lambda number, _position, value: weights[number] * (1 + value) / 2
    expected = fused(lists, weigh, 10)
    assert [hit["distance"] for hit in hits] == pytest.approx([s for _, s in expected], rel=1e-5)
    full = dict(fused(lists, weigh, 100))
    for hit in hits:
        assert hit["distance"] == pytest.approx(full[hit["id"]], rel=1e-5)


def test_hybrid_search_without_normalisation(client, two):
    ranker = WeightedRanker(0.6, 0.4, norm_score=False)
    hits = client.hybrid_search(two, [request("a"), request("b")], ranker, limit=5)[0]
    lists = [rank("COSINE", QUERY, A)[:10], rank("COSINE", QUERY, B)[:10]]
    expected = fused(lists, lambda number, _position, value: (0.6, 0.4)[number] * value, 5)
    assert [hit["distance"] for hit in hits] == pytest.approx([s for _, s in expected], rel=1e-5)


def test_hybrid_search_with_filters_offset_and_output(client, two):
    requests = [request("a", expr="n == 1"), request("b", expr="n == 1")]
    everything = client.hybrid_search(two, requests, RRFRanker(), limit=10,
                                      output_fields=["n", "a"])[0]
    assert everything and all(hit["entity"]["n"] == 1 for hit in everything)
    assert [float(x) for x in everything[0]["entity"]["a"]] == A[everything[0]["id"]]
    page = client.hybrid_search(two, requests, RRFRanker(), limit=3, offset=2)[0]
    assert ids_of(page) == ids_of(everything)[2:5]


def test_hybrid_search_of_one_request(client, two):
    hits = client.hybrid_search(two, [request("a", limit=5)], RRFRanker(), limit=5)[0]
    assert ids_of(hits) == [key for key, _ in rank("COSINE", QUERY, A)[:5]]


def test_hybrid_search_refusals(client, two):
    with refused((1, 1100, 65535), "weights"):
        client.hybrid_search(two, [request("a"), request("b")], WeightedRanker(0.5), limit=5)
    with refused((1, 1100, 65535)):
        client.hybrid_search(two, [request("a"), request("nope")], RRFRanker(), limit=5)


def test_hybrid_search_of_two_metrics(client, name):
    """Distances are turned round before they are added."""
    client.create_collection(name, schema=make_schema(vectors=("a", "b"), dim=6))
    client.create_index(name, make_index("a", metric_type="L2"), sync=False)
    client.create_index(name, make_index("b", metric_type="IP"), sync=False)
    client.load_collection(name)
    client.insert(name, [{"id": i, "a": A[i], "b": B[i]} for i in range(40)])
    requests = [request("a", metric="L2"), request("b", metric="IP")]
    ranker = WeightedRanker(0.5, 0.5, norm_score=True)
    hits = client.hybrid_search(name, requests, ranker, limit=8)[0]
    norm = [lambda d: 1 - 2 * math.atan(d) / math.pi, lambda s: 0.5 + math.atan(s) / math.pi]
    lists = [rank("L2", QUERY, A)[:10], rank("IP", QUERY, B)[:10]]
    expected = fused(lists, lambda n, _position, value: 0.5 * norm[n](value), 8)
    assert [hit["distance"] for hit in hits] == pytest.approx([s for _, s in expected], rel=1e-5)
    assert keys_of(hits) == sorted(key for key, _ in expected)

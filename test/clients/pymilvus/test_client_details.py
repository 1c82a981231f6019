"""Where other servers of this protocol were found wanting, one test each; and wrong input."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pymilvus import Collection, DataType, MilvusClient, connections

from helpers import (
    CLIENT,
    DIM,
    count,
    create,
    keys_of,
    make_index,
    make_schema,
    query,
    refused,
    search,
    unit,
)


def test_a_cached_schema_is_refreshed_after_drop_and_create(client, connect, name):
    """The client keeps schemas and asks anew only when the server answers schema mismatch."""
    if CLIENT < (2, 6):
        pytest.skip("this client checks rows against the schema it kept, before it sends them")
    other = connect()
    create(client, name, ("old", DataType.INT64))
    client.insert(name, [{"id": 1, "vector": unit(1), "old": 1}])
    other.drop_collection(name)
    create(other, name, ("new", DataType.VARCHAR, {"max_length": 8}))
    client.insert(name, [{"id": 2, "vector": unit(2), "new": "x"}])
    client.upsert(name, [{"id": 3, "vector": unit(3), "new": "y"}])
    assert query(client, name, "id > 0", output_fields=["new"]) == [{"id": 2, "new": "x"},
                                                                    {"id": 3, "new": "y"}]


def test_drop_and_create_with_the_same_schema(client, connect, name):
    other = connect()
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    other.drop_collection(name)
    create(other, name)
    client.insert(name, [{"id": 2, "vector": unit(2)}])
    assert keys_of(query(client, name, "id > 0")) == [2]


def test_an_index_request_without_a_type_is_autoindex(uri, client, name):
    connections.connect("bare", uri=uri)
    client.create_collection(name, schema=make_schema())
    Collection(name, using="bare").create_index("vector", {})
    connections.disconnect("bare")
    about = client.describe_index(name, "vector")
    assert (about["index_type"], about["metric_type"]) == ("AUTOINDEX", "COSINE")


def test_defaults_search_well(client, name):
    create(client, name, index_type="HNSW", dim=16)
    client.insert(name, [{"id": i, "vector": unit(i * 7 + i * i % 13, 16)} for i in range(2000)])
    client.flush(name)
    client.create_index(name, make_index(index_type="HNSW"))
    assert len(search(client, name, unit(3, 16), limit=100)) == 100


def test_max_length_of_65536_is_refused(client, name):
    with refused(1100, "65535"):
        client.create_collection(
            name, schema=make_schema(("s", DataType.VARCHAR, {"max_length": 65536})))


@pytest.mark.parametrize("filled", [False, True])
def test_a_query_of_another_dimension_is_refused(client, name, filled):
    create(client, name)
    if filled:
        client.insert(name, [{"id": 1, "vector": unit(1)}])
    with refused((1100, 65535)):
        client.search(name, data=[[1.0, 2.0]], limit=1)


def test_filters_in_upper_case_ignore_nothing(client, name):
    create(client, name, ("n", DataType.INT64))
    client.insert(name, [{"id": i, "vector": unit(i), "n": i} for i in range(10)])
    assert keys_of(query(client, name, "n > 2 AND n < 5")) == [3, 4]
    assert keys_of(query(client, name, "n < 1 OR n > 8")) == [0, 9]
    assert keys_of(query(client, name, "NOT (n IN [1, 2, 3, 4, 5, 6, 7, 8])")) == [0, 9]


@pytest.mark.parametrize("filter", ["", None])
def test_no_filter_in_a_search(client, name, filter):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    hits = client.search(name, data=[unit(1)], limit=5, filter=filter)
    assert keys_of(hits[0]) == [1]


def test_dynamic_keys_take_paths_functions_and_arithmetic(client, name):
    create(client, name, dynamic=True)
    client.insert(name, [{"id": i, "vector": unit(i), "d": {"k": i}, "l": [i, i + 1], "n": i}
                         for i in range(10)])
    assert keys_of(query(client, name, "d['k'] == 3")) == [3]
    assert keys_of(query(client, name, "json_contains(l, 3)")) == [2, 3]
    assert keys_of(query(client, name, "array_contains(l, 3)")) == [2, 3]
    assert keys_of(query(client, name, "array_length(l) == 2 and n % 5 == 1")) == [1, 6]
    assert keys_of(query(client, name, "l[0] == 4")) == [4]


def test_loading_and_flushing_reach_their_end(client, name):
    client.create_collection(name, schema=make_schema())
    client.create_index(name, make_index(index_type="HNSW"))
    client.load_collection(name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.flush(name)
    assert count(client, name) == 1


def test_replies_carry_a_timestamp_for_iterators(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    rows = client.query(name, filter="id > 0")
    assert len(rows) == 1


# Wrong input: an error that tells what is wrong, and a server that goes on.

@pytest.mark.parametrize("bad", ["1abc", "a-b", "a b", "", "ü", "a" * 256, "a.b", "$a"])
def test_bad_collection_names_are_refused(client, bad):
    with pytest.raises(Exception):
        client.create_collection(bad, schema=make_schema())
    assert bad not in client.list_collections()


@pytest.mark.parametrize("bad", ["1abc", "a-b", "a b", "RowID", "Timestamp", "$meta", "like",
                                 "and"])
def test_bad_field_names_are_refused(client, name, bad):
    with pytest.raises(Exception):
        client.create_collection(name, schema=make_schema((bad, DataType.INT64)))
    assert not client.has_collection(name)


def fields(*specs):
    schema = MilvusClient.create_schema()
    for name, kind, options in specs:
        schema.add_field(name, kind, **options)
    return schema


KEY = ("id", DataType.INT64, {"is_primary": True})
VECTOR = ("vector", DataType.FLOAT_VECTOR, {"dim": DIM})
BAD_SCHEMAS = {
    "no key": lambda: fields(VECTOR),
    "no vector": lambda: fields(KEY),
    "float key": lambda: fields(("id", DataType.FLOAT, {"is_primary": True}), VECTOR),
    "nullable key": lambda: fields(
        ("id", DataType.INT64, {"is_primary": True, "nullable": True}), VECTOR),
    "dimension 1": lambda: fields(KEY, ("vector", DataType.FLOAT_VECTOR, {"dim": 1})),
    "dimension 0": lambda: fields(KEY, ("vector", DataType.FLOAT_VECTOR, {"dim": 0})),
    "dimension 32769": lambda: fields(KEY, ("vector", DataType.FLOAT_VECTOR, {"dim": 32769})),
    "no dimension": lambda: fields(KEY, ("vector", DataType.FLOAT_VECTOR, {})),
    "no max_length": lambda: fields(KEY, VECTOR, ("s", DataType.VARCHAR, {})),
    "max_length 0": lambda: fields(KEY, VECTOR, ("s", DataType.VARCHAR, {"max_length": 0})),
    "no capacity": lambda: fields(KEY, VECTOR, ("a", DataType.ARRAY, {
        "element_type": DataType.INT64})),
    "capacity 4097": lambda: fields(KEY, VECTOR, ("a", DataType.ARRAY, {
        "element_type": DataType.INT64, "max_capacity": 4097})),
    "array of json": lambda: fields(KEY, VECTOR, ("a", DataType.ARRAY, {
        "element_type": DataType.JSON, "max_capacity": 4})),
    "twice": lambda: fields(KEY, VECTOR, ("n", DataType.INT64, {}), ("n", DataType.INT64, {})),
    "65 fields": lambda: fields(KEY, VECTOR, *[("f%d" % i, DataType.INT64, {}) for i in range(63)]),
    "11 vectors": lambda: fields(KEY, *[("v%d" % i, VECTOR[1], VECTOR[2]) for i in range(11)]),
    "default for json": lambda: fields(KEY, VECTOR, ("j", DataType.JSON, {"default_value": {}})),
    "float partition key": lambda: fields(KEY, VECTOR, ("f", DataType.FLOAT, {
        "is_partition_key": True})),
    "nullable partition key": lambda: fields(KEY, VECTOR, ("n", DataType.INT64, {
        "is_partition_key": True, "nullable": True})),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_bad_schemas_are_refused(client, name, case):
    with pytest.raises(Exception):
        client.create_collection(name, schema=BAD_SCHEMAS[case]())
    assert not client.has_collection(name)


def test_64_fields_and_10_vectors_are_allowed(client, name):
    vectors = [("v%d" % i, VECTOR[1], VECTOR[2]) for i in range(10)]
    numbers = [("f%d" % i, DataType.INT64, {}) for i in range(53)]
    client.create_collection(name, schema=fields(KEY, *vectors, *numbers))
    assert len(client.describe_collection(name)["fields"]) == 64


def test_a_collection_made_twice(client, name):
    client.create_collection(name, schema=make_schema())
    client.create_collection(name, schema=make_schema())
    with refused((1, 65535, 1100), "different parameters"):
        client.create_collection(name, schema=make_schema(dim=8))


def test_collections_that_are_not_there(client, name):
    for call in [
        lambda: client.search(name, data=[unit(1)], limit=1),
        lambda: client.query(name, filter="id > 0"),
        lambda: client.insert(name, [{"id": 1, "vector": unit(1)}]),
        lambda: client.delete(name, ids=[1]),
        lambda: client.describe_collection(name),
        lambda: client.get_collection_stats(name),
        lambda: client.create_partition(name, "p"),
        lambda: client.flush(name),
        lambda: client.create_alias(name, name + "_a"),
        lambda: client.rename_collection(name, name + "_b"),
    ]:
        with refused(100):
            call()
    client.drop_collection(name)
    assert not client.has_collection(name)


# Not there yet: each answers an error that says so, and the server lives.

def not_yet_cases(client, name):
    def schema(field, kind, **options):
        return lambda: client.create_collection(
            name + "_x", schema=fields(KEY, VECTOR, (field, kind, options)))

    return {
        "binary vectors": schema("b", DataType.BINARY_VECTOR, dim=16),
        "sparse vectors": schema("s", DataType.SPARSE_FLOAT_VECTOR),
        "float16 vectors": schema("h", DataType.FLOAT16_VECTOR, dim=4),
        "bfloat16 vectors": schema("h", DataType.BFLOAT16_VECTOR, dim=4),
        "grouping": lambda: client.search(name, data=[unit(1)], limit=1, group_by_field="n"),
        "time to live": lambda: client.alter_collection_properties(
            name, {"collection.ttl.seconds": 60}),
        "full text": lambda: client.create_collection(name + "_x", schema=full_text_schema()),
    }


def full_text_schema():
    from pymilvus import Function, FunctionType

    schema = fields(
        KEY, VECTOR,
        ("text", DataType.VARCHAR, {"max_length": 64, "enable_analyzer": True}),
        ("sparse", DataType.SPARSE_FLOAT_VECTOR, {}),
    )
    schema.add_function(Function("bm25", FunctionType.BM25, ["text"], ["sparse"]))
    return schema


@pytest.mark.parametrize("case", ["binary vectors", "sparse vectors", "float16 vectors",
                                  "bfloat16 vectors", "grouping", "time to live", "full text"])
def test_what_is_not_there_yet_says_so(client, name, case):
    create(client, name, ("n", DataType.INT64))
    with refused((10, 1100), "not available yet"):
        not_yet_cases(client, name)[case]()
    assert not client.has_collection(name + "_x")


def test_partial_upsert_leaves_other_fields_alone(client, name):
    if CLIENT < (2, 6):
        pytest.skip("this client has no partial upsert")
    create(client, name, ("n", DataType.INT64))
    client.insert(name, [{"id": 1, "vector": unit(1), "n": 1}])
    client.upsert(name, [{"id": 1, "n": 2}], partial_update=True)
    row = query(client, name, "id == 1", output_fields=["n", "vector"])[0]
    assert (row["n"], [float(x) for x in row["vector"]]) == (2, unit(1))


def test_partial_upserts_of_one_row_at_once_all_stay(client, name):
    if CLIENT < (2, 6):
        pytest.skip("this client has no partial upsert")
    fields = [f"n{i}" for i in range(4)]
    create(client, name, *((field, DataType.INT64, {"nullable": True}) for field in fields))
    client.insert(name, [{"id": 1, "vector": unit(1), **{field: 0 for field in fields}}])

    def count_up(field):
        for n in range(1, 26):
            client.upsert(name, [{"id": 1, field: n}], partial_update=True)

    with ThreadPoolExecutor(len(fields)) as pool:
        for done in [pool.submit(count_up, field) for field in fields]:
            done.result()
    assert query(client, name, "id == 1", output_fields=fields)[0] == {
        "id": 1, **{field: 25 for field in fields}}


def test_partial_upserts_stay_within_the_limits_of_a_row(client, name):
    if CLIENT < (2, 6):
        pytest.skip("this client has no partial upsert")
    create(client, name, dynamic=True)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    for i in range(7):
        client.upsert(name, [{"id": 1, f"key{i}": "x" * 9000}], partial_update=True)
    with refused(1100, "exceeds max length (65536)"):
        client.upsert(name, [{"id": 1, "key7": "x" * 9000}], partial_update=True)
    row = query(client, name, "id == 1", output_fields=["*"])[0]
    assert sorted(key for key in row if key.startswith("key")) == [f"key{i}" for i in range(7)]


def test_users_and_roles_answer_an_error(client):
    with pytest.raises(Exception):
        client.create_user("somebody", "password1")
    assert isinstance(client.list_collections(), list)

"""Indexes: create, describe, list, drop; parameters given and given back; what does not fit."""

import pytest
from pymilvus import Collection, DataType, MilvusClient, connections

from helpers import create, make_index, make_schema, query, refused, search, unit

VECTOR_INDEXES = {
    "FLAT": {},
    "IVF_FLAT": {"nlist": 64},
    "HNSW": {"M": 16, "efConstruction": 100},
    "AUTOINDEX": {},
}


@pytest.mark.parametrize("metric", ["L2", "IP", "COSINE"])
@pytest.mark.parametrize("index_type", VECTOR_INDEXES)
def test_describe_gives_back_what_was_given(client, name, index_type, metric):
    params = VECTOR_INDEXES[index_type]
    client.create_collection(name, schema=make_schema())
    index = make_index(index_type=index_type, metric_type=metric, **params)
    client.create_index(name, index, sync=False)
    about = client.describe_index(name, "vector")
    assert (about["index_type"], about["metric_type"]) == (index_type, metric)
    assert about["field_name"] == about["index_name"] == "vector"
    assert about["state"] == "Finished"
    for key, value in params.items():
        assert str(about[key]) == str(value)
    assert client.list_indexes(name) == ["vector"]


def test_parameters_may_come_as_json(uri, client, name):
    connections.connect("json", uri=uri)
    client.create_collection(name, schema=make_schema())
    given = {"index_type": "HNSW", "metric_type": "L2", "params": {"M": 12, "efConstruction": 90}}
    Collection(name, using="json").create_index("vector", given)
    # They come back as they were given, as from Milvus.
    assert client.describe_index(name, "vector")["params"] == {"M": 12, "efConstruction": 90}
    assert Collection(name, using="json").indexes[0].params == given
    connections.disconnect("json")


def test_parameters_may_come_flat(client, name):
    client.create_collection(name, schema=make_schema())
    index = MilvusClient.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="L2", M=12, efConstruction=90)
    client.create_index(name, index, sync=False)
    about = client.describe_index(name, "vector")
    assert (str(about["M"]), str(about["efConstruction"])) == ("12", "90")


def test_an_index_may_have_a_name(client, name):
    client.create_collection(name, schema=make_schema(("n", DataType.INT64)))
    index = MilvusClient.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2", index_name="near")
    index.add_index("n", index_type="INVERTED", index_name="numbers")
    client.create_index(name, index, sync=False)
    assert sorted(client.list_indexes(name)) == ["near", "numbers"]
    assert client.list_indexes(name, field_name="n") == ["numbers"]
    assert client.describe_index(name, "numbers")["index_type"] == "INVERTED"


TEXT = {"max_length": 16}
SCALARS = {
    "b": (DataType.BOOL, {}, [True, False], "b == true"),
    "i8": (DataType.INT8, {}, [-3, 7], "i8 > 0"),
    "i16": (DataType.INT16, {}, [-3, 7], "i16 in [7]"),
    "i32": (DataType.INT32, {}, [-3, 7], "i32 >= 7"),
    "i64": (DataType.INT64, {}, [2**53, 2**53 + 1], "i64 == 9007199254740993"),
    "f": (DataType.FLOAT, {}, [0.5, 1.5], "f > 1"),
    "d": (DataType.DOUBLE, {}, [0.5, 1.5], "d > 1"),
    "s": (DataType.VARCHAR, TEXT, ["abc", "xyz"], "s like 'x%'"),
    "a": (DataType.ARRAY, {"element_type": DataType.INT64, "max_capacity": 4}, [[1], [2, 3]],
          "array_contains(a, 3)"),
}
FITS = {
    "INVERTED": list(SCALARS),
    "AUTOINDEX": list(SCALARS),
    "BITMAP": ["b", "i8", "i16", "i32", "i64", "s", "a"],
    "STL_SORT": ["i8", "i16", "i32", "i64", "f", "d", "s"],
    "TRIE": ["s"],
}


@pytest.mark.parametrize("kind,field", [(k, f) for k, fields in FITS.items() for f in fields])
def test_a_scalar_index_changes_no_answer(client, name, kind, field):
    data_type, options, values, filter = SCALARS[field]
    create(client, name, (field, data_type, options))
    client.insert(name, [{"id": i, "vector": unit(i), field: values[i % 2]} for i in range(1200)])
    before = query(client, name, filter, output_fields=["id"])
    index = MilvusClient.prepare_index_params()
    index.add_index(field, index_type=kind)
    client.create_index(name, index, sync=False)
    assert client.describe_index(name, field)["index_type"].upper() == kind
    client.flush(name)
    assert query(client, name, filter, output_fields=["id"]) == before
    assert len(before) == 600
    client.drop_index(name, field)
    assert query(client, name, filter, output_fields=["id"]) == before


@pytest.mark.parametrize("kind,field", [
    ("BITMAP", "f"), ("STL_SORT", "b"), ("STL_SORT", "a"), ("TRIE", "i64"), ("HNSW", "i64"),
    ("NOPE", "i64"),
])
def test_an_index_that_does_not_fit_is_refused(client, name, kind, field):
    data_type, options, *_ = SCALARS[field]
    client.create_collection(name, schema=make_schema((field, data_type, options)))
    index = MilvusClient.prepare_index_params()
    index.add_index(field, index_type=kind)
    with refused(1100):
        client.create_index(name, index)


@pytest.mark.parametrize("index_type,metric,params", [
    ("HNSW", "L2", {"M": 1}),
    ("HNSW", "L2", {"M": 2049}),
    ("HNSW", "L2", {"M": "x"}),
    ("HNSW", "L2", {"efConstruction": -1}),
    ("IVF_FLAT", "L2", {"nlist": -1}),
    ("IVF_FLAT", "L2", {"nlist": 65537}),
    ("IVF_PQ", "L2", {"nlist": 16, "m": 3}),
    ("HNSW", "HAMMING", {}),
    ("HNSW", "NOPE", {}),
    ("BIN_FLAT", "HAMMING", {}),
    ("INVERTED", "L2", {}),
    ("AUTOINDEX", "L2", {"M": 16}),
])
def test_wrong_parameters_are_refused(client, name, index_type, metric, params):
    client.create_collection(name, schema=make_schema())
    with refused(1100):
        client.create_index(name, make_index(index_type=index_type, metric_type=metric, **params))
    assert client.list_indexes(name) == []


def test_creating_the_same_index_again_is_nothing(client, name):
    client.create_collection(name, schema=make_schema())
    for _ in range(2):
        client.create_index(name, make_index(index_type="HNSW", M=8, efConstruction=64), sync=False)
    assert client.list_indexes(name) == ["vector"]
    with refused(1100, "at most one distinct index"):
        client.create_index(name, make_index(index_type="HNSW", M=9, efConstruction=64))
    with refused(1100):
        client.create_index(name, make_index(index_type="FLAT"))


def test_no_index_at_all(client, name):
    client.create_collection(name, schema=make_schema())
    assert client.list_indexes(name) == []
    assert client.describe_index(name, "vector") is None
    client.drop_index(name, "vector")


def test_a_loaded_vector_keeps_its_index(client, name):
    create(client, name)
    with refused(1100, "vector index cannot be dropped on loaded collection"):
        client.drop_index(name, "vector")
    client.release_collection(name)
    client.drop_index(name, "vector")
    assert client.list_indexes(name) == []
    client.create_index(name, make_index(index_type="HNSW", metric_type="IP"), sync=False)
    client.load_collection(name)
    client.insert(name, [{"id": 1, "vector": [1.0, 2.0, 3.0, 4.0]}])
    assert search(client, name, [1.0, 1.0, 1.0, 1.0])[0]["distance"] == 10


def test_an_index_on_an_unknown_field_is_refused(client, name):
    client.create_collection(name, schema=make_schema())
    with refused(1100, "nope"):
        client.create_index(name, make_index("nope"))


def test_index_properties(client, name):
    client.create_collection(name, schema=make_schema())
    client.create_index(name, make_index(index_type="HNSW"), sync=False)
    client.alter_index_properties(name, "vector", {"mmap.enabled": True})
    assert str(client.describe_index(name, "vector")["mmap.enabled"]).lower() == "true"
    client.drop_index_properties(name, "vector", ["mmap.enabled"])
    assert "mmap.enabled" not in client.describe_index(name, "vector")


def test_r23_rows_are_counted_as_indexed_in_the_end(client, name):
    create(client, name, index_type="HNSW", dim=8)
    client.insert(name, [{"id": i, "vector": unit(i, 8)} for i in range(2000)])
    client.flush(name)
    # Waits for the index itself.
    client.create_index(name, make_index(index_type="HNSW"))
    about = client.describe_index(name, "vector")
    assert about["total_rows"] == 2000
    assert about["indexed_rows"] + about["pending_index_rows"] == 2000
    assert about["state"] == "Finished"


@pytest.mark.parametrize("rows, flushed", [(1023, True), (2000, False)])
def test_r23_small_segments_and_growing_rows_do_not_wait_for_an_index(client, name, rows, flushed):
    create(client, name, index_type="HNSW", dim=8)
    client.insert(name, [{"id": i, "vector": unit(i, 8)} for i in range(rows)])
    if flushed:
        client.flush(name)
    about = client.describe_index(name, "vector")
    assert about["total_rows"] == rows
    assert about["pending_index_rows"] == 0
    assert about["state"] == "Finished"


@pytest.mark.parametrize("params", [{"ef": 64}, {"params": {"ef": 64}}, {}, {"params": {}},
                                    {"metric_type": "L2"},
                                    {"metric_type": "L2", "params": {"ef": 64}}])
def test_search_parameters_may_come_flat_or_nested(client, name, params):
    create(client, name, index_type="HNSW")
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(50)])
    assert len(search(client, name, unit(1), limit=20, search_params=params)) == 20


def test_ef_below_the_limit_is_refused(client, name):
    create(client, name, index_type="HNSW")
    with refused(1100, "should be larger than k"):
        client.search(name, data=[unit(1)], limit=20, search_params={"params": {"ef": 5}})
    with refused((1100, 65535)):
        client.search(name, data=[unit(1)], limit=20, search_params={"params": {"ef": "many"}})


@pytest.mark.parametrize("nprobe", [0, -1, 65537, "x"])
def test_a_wrong_nprobe_is_refused(client, name, nprobe):
    create(client, name, index_type="IVF_FLAT")
    with refused((1100, 65535)):
        client.search(name, data=[unit(1)], limit=1, search_params={"params": {"nprobe": nprobe}})

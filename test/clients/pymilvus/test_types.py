"""Every data type that is stored: values, limits, null, defaults, all through insert and query."""

import json
import math

import numpy as np
import pytest
from pymilvus import DataType

from helpers import CLIENT, DIM, create, query, refused, search, to_float32, unit

ARRAY = {"max_capacity": 8}
TEXT = {"max_length": 64}


def array_of(kind, **options):
    return {"element_type": kind, **ARRAY, **options}


# type, options, values that must come back as they went in
SCALARS = {
    "bool": (DataType.BOOL, {}, [True, False]),
    "int8": (DataType.INT8, {}, [-128, 0, 127]),
    "int16": (DataType.INT16, {}, [-32768, 0, 32767]),
    "int32": (DataType.INT32, {}, [-(2**31), 0, 2**31 - 1]),
    "int64": (DataType.INT64, {}, [-(2**63), 2**53 + 1, 2**63 - 1]),
    "float": (DataType.FLOAT, {}, [0.5, -1.25, to_float32(0.1), to_float32(3e38)]),
    "double": (DataType.DOUBLE, {}, [0.1, -1.0e300, 5e-324]),
    "varchar": (DataType.VARCHAR, TEXT, ["", "plain", "ünïcödé 日本語 😀", 'quo"te\\ \n\t']),
    "json": (DataType.JSON, {}, [{}, {"a": [1, "x", None, {"b": 2.5}]}, [1, 2], 7, True]),
    "array_bool": (DataType.ARRAY, array_of(DataType.BOOL), [[True, False], []]),
    "array_int8": (DataType.ARRAY, array_of(DataType.INT8), [[-128, 127], []]),
    "array_int16": (DataType.ARRAY, array_of(DataType.INT16), [[-32768, 32767]]),
    "array_int32": (DataType.ARRAY, array_of(DataType.INT32), [[-(2**31), 2**31 - 1]]),
    "array_int64": (DataType.ARRAY, array_of(DataType.INT64), [[2**53 + 1, -(2**63)], [0] * 8]),
    "array_float": (DataType.ARRAY, array_of(DataType.FLOAT), [[0.5, to_float32(0.1)]]),
    "array_double": (DataType.ARRAY, array_of(DataType.DOUBLE), [[0.1, 1e300]]),
    "array_varchar": (DataType.ARRAY, array_of(DataType.VARCHAR, **TEXT), [["a", "", "é"], []]),
}


@pytest.mark.parametrize("kind", SCALARS)
def test_values_come_back_as_they_went_in(client, name, kind):
    data_type, options, values = SCALARS[kind]
    create(client, name, ("value", data_type, options))
    rows = [{"id": i, "vector": unit(i), "value": value} for i, value in enumerate(values)]
    client.insert(name, rows)
    found = query(client, name, "id >= 0", output_fields=["value"])
    assert [row["value"] for row in found] == values
    hits = search(client, name, unit(0), output_fields=["value"])
    assert {hit["id"]: hit["entity"]["value"] for hit in hits} == dict(enumerate(values))


@pytest.mark.parametrize("kind", SCALARS)
def test_null_comes_back_as_none(client, name, kind):
    data_type, options, values = SCALARS[kind]
    create(client, name, ("value", data_type, {**options, "nullable": True}))
    client.insert(name, [
        {"id": 1, "vector": unit(1), "value": values[0]},
        {"id": 2, "vector": unit(2), "value": None},
        {"id": 3, "vector": unit(3)},
    ])
    rows = query(client, name, "id > 0", output_fields=["value"])
    assert [row["value"] for row in rows] == [values[0], None, None]
    assert [row["id"] for row in query(client, name, "value is null")] == [2, 3]
    assert [row["id"] for row in query(client, name, "value is not null")] == [1]
    hits = search(client, name, unit(2), limit=1, output_fields=["value"])
    found = hits[0]["entity"]["value"]
    # pymilvus 2.5 does not look at the validity of arrays in search results.
    assert found is None or (CLIENT < (2, 6) and found == [])


DEFAULTS = {
    "bool": (DataType.BOOL, {}, True),
    "int8": (DataType.INT8, {}, -5),
    "int16": (DataType.INT16, {}, 1000),
    "int32": (DataType.INT32, {}, -100000),
    "int64": (DataType.INT64, {}, 2**53 + 1),
    "float": (DataType.FLOAT, {}, 0.5),
    "double": (DataType.DOUBLE, {}, 0.1),
    "varchar": (DataType.VARCHAR, TEXT, "unset"),
}


def default_of(kind):
    data_type, options, value = DEFAULTS[kind]
    # The client guesses a default's type from its numpy type.
    typed = {"int8": np.int8, "int16": np.int16, "int32": np.int32, "float": np.float32}
    return data_type, options, typed.get(kind, lambda v: v)(value), value


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_default_fills_what_is_missing(client, name, kind, nullable):
    data_type, options, default, value = default_of(kind)
    field = {**options, "default_value": default, "nullable": nullable}
    create(client, name, ("value", data_type, field))
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.insert(name, [{"id": 2, "vector": unit(2), "value": None}])
    rows = query(client, name, "id > 0", output_fields=["value"])
    assert [row["value"] for row in rows] == [value, value]
    described = client.describe_collection(name)["fields"][2]
    assert described.get("nullable", False) is nullable


OUT_OF_RANGE = {"int8": 128, "int16": -32769, "int32": 2**31}


@pytest.mark.parametrize("kind", OUT_OF_RANGE)
def test_integers_out_of_range_are_refused(client, name, kind):
    create(client, name, ("value", SCALARS[kind][0]))
    # Some client lines refuse by themselves; what matters is that nothing wraps around.
    with pytest.raises(Exception):
        client.insert(name, [{"id": 1, "vector": unit(1), "value": OUT_OF_RANGE[kind]}])
    assert query(client, name, "id >= 0") == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_nan_and_infinity_are_refused(client, name, kind, value):
    create(client, name, ("value", SCALARS[kind][0]))
    with pytest.raises(Exception):
        client.insert(name, [{"id": 1, "vector": unit(1), "value": value}])
    assert query(client, name, "id >= 0") == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_in_a_vector_are_refused(client, name, value):
    create(client, name)
    with refused(1100):
        client.insert(name, [{"id": 1, "vector": [1.0, value, 0.0, 0.0]}])


def test_text_is_measured_in_bytes(client, name):
    create(client, name, ("value", DataType.VARCHAR, {"max_length": 4}))
    client.insert(name, [{"id": 1, "vector": unit(1), "value": "éé"}])
    with refused(1100, "exceeds max length"):
        client.insert(name, [{"id": 2, "vector": unit(2), "value": "ééx"}])


def test_array_capacity_is_a_limit(client, name):
    create(client, name, ("value", DataType.ARRAY, array_of(DataType.INT32)))
    client.insert(name, [{"id": 1, "vector": unit(1), "value": list(range(8))}])
    with refused(1100, "exceeds max"):
        client.insert(name, [{"id": 2, "vector": unit(2), "value": list(range(9))}])


def test_json_size_is_a_limit(client, name):
    create(client, name, ("value", DataType.JSON))
    with refused((1100, 1102), "json"):
        client.insert(name, [{"id": 1, "vector": unit(1), "value": {"a": "x" * 65536}}])


def test_vectors_come_back_bit_for_bit(client, name):
    create(client, name, dim=5, metric_type="COSINE", index_type="HNSW")
    bits = [0x00000001, 0x7F7FFFFF, 0x80000000, 0x3DCCCCCD, 0xC0490FDB]
    vector = np.array(bits, dtype=np.uint32).view(np.float32)
    client.insert(name, [{"id": 1, "vector": vector.tolist()}])
    found = query(client, name, "id == 1", output_fields=["vector"])[0]["vector"]
    assert np.array(found, dtype=np.float32).view(np.uint32).tolist() == bits


def test_numpy_vectors_are_taken(client, name):
    create(client, name)
    vector = np.array([0.5, 1.5, -2.5, 3.5], dtype=np.float32)
    client.insert(name, [{"id": 1, "vector": vector}])
    found = query(client, name, "id == 1", output_fields=["vector"])[0]["vector"]
    assert [float(x) for x in found] == vector.tolist()
    assert search(client, name, vector, limit=1)[0]["distance"] == 0


EXACT = [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("value", EXACT)
def test_int64_is_exact_everywhere(client, name, value):
    fields = [("column", DataType.INT64), ("doc", DataType.JSON),
              ("list", DataType.ARRAY, array_of(DataType.INT64))]
    create(client, name, *fields, dynamic=True)
    client.insert(name, [{"id": value, "vector": unit(1), "column": value,
                          "doc": {"n": value, "l": [value]}, "list": [value], "extra": value}])
    output = ["id", "column", "doc", "list", "extra"]
    expected = {"id": value, "column": value, "doc": {"n": value, "l": [value]}, "list": [value],
                "extra": value}
    for place in ["id", "column", "extra", 'doc["n"]', 'doc["l"][0]', "list[0]"]:
        found = query(client, name, "%s == %d" % (place, value), output_fields=output)
        assert found == [expected], place
    neighbour = value - 1 if value > 0 else value + 1
    assert query(client, name, "column == %d" % neighbour) == []
    assert query(client, name, 'doc["n"] == %d' % neighbour) == []
    hit = search(client, name, unit(1), output_fields=output)[0]
    assert hit["id"] == value
    assert json.loads(json.dumps(hit["entity"]["doc"]))["n"] == value
    assert client.delete(name, ids=[value])["delete_count"] == 1


def test_dynamic_values_keep_their_types(client, name):
    create(client, name, dynamic=True)
    extra = {"i": 1, "f": 1.5, "s": "x", "b": True, "l": [1, "a"], "d": {"k": None}, "n": None}
    client.insert(name, [{"id": 1, "vector": unit(1), **extra}])
    assert query(client, name, "id == 1", output_fields=list(extra)) == [{"id": 1, **extra}]
    row = query(client, name, "id == 1", output_fields=["*"])[0]
    assert {key: row[key] for key in extra} == extra
    assert [float(x) for x in row["vector"]] == unit(1)


def test_undeclared_keys_are_refused_without_the_dynamic_field(client, name):
    create(client, name)
    with pytest.raises(Exception):
        client.insert(name, [{"id": 1, "vector": unit(1), "extra": 1}])


def test_float_comparisons_happen_in_32_bits(client, name):
    create(client, name, ("confidence", DataType.FLOAT))
    client.insert(name, [{"id": 1, "vector": unit(1), "confidence": 0.8},
                         {"id": 2, "vector": unit(2), "confidence": 0.9}])
    ids = lambda filter: [row["id"] for row in query(client, name, filter)]
    assert ids("confidence > 0.8") == [2]
    assert ids("confidence == 0.8") == [1]
    assert ids("confidence >= 0.8") == [1, 2]
    assert ids("confidence in [0.8]") == [1]
    assert query(client, name, "id == 1", output_fields=["confidence"])[0]["confidence"] == \
        pytest.approx(0.8, abs=1e-7)


def test_several_vector_fields(client, name):
    create(client, name, vectors=("first", "second"), metric_type="L2")
    rows = [{"id": i, "first": unit(i), "second": unit(9 - i)} for i in range(10)]
    client.insert(name, rows)
    for field, expected in [("first", 2), ("second", 7)]:
        hit = search(client, name, unit(2), anns_field=field, limit=1, output_fields=["*"])[0]
        assert hit["id"] == expected
        assert [float(x) for x in hit["entity"]["first"]] == unit(expected)
        assert len(hit["entity"]["second"]) == DIM
    with refused(1100, "anns_field"):
        client.search(name, data=[unit(2)], limit=1)


def test_a_vector_of_another_dimension_is_refused(client, name):
    create(client, name)
    with pytest.raises(Exception):
        client.insert(name, [{"id": 1, "vector": [1.0, 2.0]}])


@pytest.mark.parametrize("dim", [2, 3, 100, 1536, 32768])
def test_dimensions(client, name, dim):
    create(client, name, dim=dim)
    vector = unit(3, dim)
    client.insert(name, [{"id": 1, "vector": vector}])
    hit = search(client, name, vector, output_fields=["vector"])[0]
    assert hit["distance"] == 0
    assert [float(x) for x in hit["entity"]["vector"]] == vector

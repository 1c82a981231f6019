"""Insert, upsert, delete: counts, what they replace, templates, refusals."""

import pytest
from pymilvus import DataType

from helpers import count, create, keys_of, query, refused, search, unit


def fill(client, name, rows=20):
    create(client, name, ("n", DataType.INT64), ("tag", DataType.VARCHAR, {"max_length": 16}))
    data = [{"id": i, "vector": unit(i), "n": i * 10, "tag": "t%d" % (i % 4)} for i in range(rows)]
    client.insert(name, data)


def test_insert_answers_with_the_keys(client, name):
    create(client, name)
    answer = client.insert(name, [{"id": i, "vector": unit(i)} for i in (5, 3, 9)])
    assert answer["insert_count"] == 3
    assert list(answer["ids"]) == [5, 3, 9]


def test_one_row_needs_no_list(client, name):
    create(client, name)
    assert client.insert(name, {"id": 1, "vector": unit(1)})["insert_count"] == 1
    assert client.upsert(name, {"id": 1, "vector": unit(2)})["upsert_count"] == 1


def test_upsert_replaces_and_adds(client, name):
    fill(client, name)
    rows = [{"id": i, "vector": unit(i + 100), "n": -1, "tag": "new"} for i in (3, 99)]
    assert client.upsert(name, rows)["upsert_count"] == 2
    assert count(client, name) == 21
    assert keys_of(query(client, name, "tag == 'new'")) == [3, 99]
    row = query(client, name, "id == 3", output_fields=["n", "vector"])[0]
    assert row["n"] == -1
    assert [float(x) for x in row["vector"]] == unit(103)
    assert search(client, name, unit(103), limit=1)[0]["id"] == 3


def test_upsert_refuses_a_key_twice(client, name):
    create(client, name)
    with refused(1100, "duplicate primary keys"):
        client.upsert(name, [{"id": 1, "vector": unit(1)}, {"id": 1, "vector": unit(2)}])


@pytest.mark.parametrize("flushed", [False, True])
def test_upsert_many_times_leaves_one_version(client, name, flushed):
    fill(client, name)
    if flushed:
        client.flush(name)
    for n in range(30):
        client.upsert(name, [{"id": 7, "vector": unit(n), "n": n, "tag": "up"}])
    assert [row["n"] for row in query(client, name, "tag == 'up'", output_fields=["n"])] == [29]
    assert count(client, name) == 20


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("filter,left", [
    ("id in [1, 2, 3]", 17),
    ("id == 4", 19),
    ("id in [1, 1, 1]", 19),
    ("n >= 100", 10),
    ("tag == 't1' and n < 100", 17),
    ("tag like 't%' or id == 0", 0),
    ("id in [100, 200]", 20),
    ("n > 100000", 20),
])
def test_delete_by_filter(client, name, filter, left, flushed):
    fill(client, name)
    if flushed:
        client.flush(name)
    client.delete(name, filter=filter)
    assert count(client, name) == left
    assert len(search(client, name, unit(0), limit=30)) == left
    assert count(client, name, filter) == 0


def test_delete_by_keys_counts(client, name):
    fill(client, name)
    assert client.delete(name, ids=[1, 2])["delete_count"] == 2
    assert client.delete(name, ids=3)["delete_count"] == 1
    assert client.delete(name, filter="n < 60")["delete_count"] == 3
    assert keys_of(query(client, name, "id < 8")) == [6, 7]


def test_delete_with_a_template(client, name):
    fill(client, name)
    client.delete(name, filter="tag in {tags} and n < {n}",
                  filter_params={"tags": ["t0", "t1"], "n": 60})
    assert keys_of(query(client, name, "id < 8")) == [2, 3, 6, 7]
    client.delete(name, filter="id in {ids}", filter_params={"ids": [2, 3]})
    assert keys_of(query(client, name, "id < 8")) == [6, 7]


@pytest.mark.parametrize("filter", ["1 == 1", "true", "id >"])
def test_delete_refuses_what_deletes_everything_or_cannot_be_read(client, name, filter):
    fill(client, name)
    with refused(1100, "delete plan"):
        client.delete(name, filter=filter)
    assert count(client, name) == 20


def test_a_deleted_key_can_come_back(client, name):
    create(client, name)
    for n in range(5):
        client.insert(name, [{"id": 1, "vector": unit(n)}])
        assert count(client, name) == 1
        client.delete(name, ids=[1])
        assert count(client, name) == 0
    client.insert(name, [{"id": 1, "vector": unit(8)}])
    assert search(client, name, unit(8))[0]["distance"] == 0


def test_a_missing_field_is_refused(client, name):
    create(client, name, ("n", DataType.INT64))
    with pytest.raises(Exception):
        client.insert(name, [{"id": 1, "vector": unit(1)}])
    with pytest.raises(Exception):
        client.insert(name, [{"vector": unit(1), "n": 1}])
    assert count(client, name) == 0


@pytest.mark.parametrize("row", [
    {"id": "text", "vector": [0.0] * 4, "n": 1},
    {"id": 1, "vector": "text", "n": 1},
    {"id": 1, "vector": [0.0] * 4, "n": "text"},
    {"id": 1, "vector": None, "n": 1},
    {"id": None, "vector": [0.0] * 4, "n": 1},
    {"id": 1, "vector": [0.0] * 4, "n": None},
])
def test_values_of_a_wrong_type_are_refused(client, name, row):
    create(client, name, ("n", DataType.INT64))
    with pytest.raises(Exception):
        client.insert(name, [row])
    assert count(client, name) == 0


def test_a_large_insert_in_one_call(client, name):
    create(client, name, dim=128)
    vector = unit(1, 128)
    client.insert(name, [{"id": i, "vector": vector} for i in range(5000)])
    assert count(client, name) == 5000
    assert query(client, name, "id == 4999", output_fields=["id"]) == [{"id": 4999}]


def test_writes_through_two_connections_are_one_collection(client, connect, name):
    fill(client, name)
    other = connect()
    other.insert(name, [{"id": 100, "vector": unit(1), "n": 1, "tag": "x"}])
    client.delete(name, ids=[0])
    assert count(other, name) == count(client, name) == 20

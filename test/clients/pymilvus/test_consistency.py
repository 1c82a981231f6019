"""What is acknowledged is visible, at once, on every connection, at every consistency level."""

import pytest
from pymilvus import DataType

from helpers import count, create, ids_of, keys_of, query, search, unit

LEVELS = ["Strong", "Session", "Bounded", "Eventually"]


@pytest.mark.parametrize("level", LEVELS)
def test_another_connection_reads_a_write_at_once(client, connect, name, level):
    create(client, name, ("n", DataType.INT64), options={"consistency_level": level})
    reader = connect()
    for i in range(20):
        client.insert(name, [{"id": i, "vector": unit(i), "n": 0}])
        options = {"consistency_level": level}
        assert ids_of(search(reader, name, unit(i), limit=1, **options)) == [i]
        assert keys_of(query(reader, name, "id == %d" % i, **options)) == [i]
        assert count(reader, name, **options) == i + 1
        client.upsert(name, [{"id": i, "vector": unit(i), "n": 1}])
        assert query(reader, name, "id == %d" % i, output_fields=["n"], **options)[0]["n"] == 1
    for i in range(20):
        client.delete(name, ids=[i])
        assert keys_of(query(reader, name, "id == %d" % i, consistency_level=level)) == []
        assert count(reader, name, consistency_level=level) == 19 - i


@pytest.mark.parametrize("level", LEVELS)
def test_the_collections_level_is_kept(client, name, level):
    create(client, name, options={"consistency_level": level})
    described = client.describe_collection(name)["consistency_level"]
    number = {"Strong": 0, "Session": 1, "Bounded": 2, "Eventually": 3}[level]
    assert described in (number, level)


def test_a_guarantee_in_the_past_or_future_still_reads_writes(client, connect, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    reader = connect()
    for timestamp in (1, 2, 0):
        options = {"consistency_level": "Customized", "guarantee_timestamp": timestamp}
        assert ids_of(search(reader, name, unit(1), **options)) == [1]
        assert count(reader, name, **options) == 1


def test_a_new_collection_is_known_to_all_at_once(client, connect, name):
    reader = connect()
    for _ in range(5):
        create(client, name)
        assert reader.has_collection(name)
        client.insert(name, [{"id": 1, "vector": unit(1)}])
        assert count(reader, name) == 1
        client.drop_collection(name)
        assert not reader.has_collection(name)


@pytest.mark.parametrize("level", LEVELS)
def test_a_flush_loses_nothing_from_sight(client, connect, name, level):
    create(client, name)
    reader = connect()
    for i in range(4):
        client.insert(name, [{"id": i * 10 + j, "vector": unit(j)} for j in range(10)])
        client.flush(name)
        assert count(reader, name, consistency_level=level) == (i + 1) * 10


def test_r23_ignore_growing_leaves_out_rows_that_are_not_sealed(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.flush(name)
    client.insert(name, [{"id": 2, "vector": unit(2)}])
    assert keys_of(query(client, name, "id > 0")) == [1, 2]
    assert keys_of(query(client, name, "id > 0", ignore_growing=True)) == [1]
    assert keys_of(search(client, name, unit(2))) == [1, 2]
    for params in ({"ignore_growing": True}, {"params": {"ignore_growing": True}}):
        assert keys_of(search(client, name, unit(2), search_params=params)) == [1], params
    client.flush(name)
    assert keys_of(query(client, name, "id > 0", ignore_growing=True)) == [1, 2]

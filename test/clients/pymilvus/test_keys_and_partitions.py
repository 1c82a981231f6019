"""Primary keys, generated ids, partition keys, partitions, and the names of collections."""

import json

import pytest
from pymilvus import DataType

from helpers import (
    DIM,
    count,
    create,
    ids_of,
    keys_of,
    make_index,
    make_schema,
    query,
    refused,
    search,
    unit,
)

VARCHAR_KEY = ("id", DataType.VARCHAR)
INT_KEY = ("id", DataType.INT64)


def test_varchar_keys(client, name):
    create(client, name, key=VARCHAR_KEY)
    keys = ["a", "b b", 'c"c', "d'd", "日本", ""]
    client.insert(name, [{"id": key, "vector": unit(i)} for i, key in enumerate(keys)])
    assert {row["id"] for row in query(client, name, 'id >= ""')} == set(keys)
    assert list(client.get(name, ids=["日本"], output_fields=["id"])) == [{"id": "日本"}]
    assert search(client, name, unit(1), limit=1)[0]["id"] == "b b"
    assert client.delete(name, ids=["a", "b b"])["delete_count"] == 2
    assert count(client, name) == 4


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("key", [INT_KEY, VARCHAR_KEY], ids=["int64", "varchar"])
def test_long_lists_of_keys(client, name, key, shards):
    create(client, name, key=key, options={"num_shards": shards})
    keys = [i - 10_000 if key == INT_KEY else f"é{i}" if i % 3 else f"k{i}" for i in range(20_000)]
    vectors = [unit(i) for i in range(DIM)]
    for start in range(0, len(keys), 5_000):
        part = range(start, start + 5_000)
        client.insert(name, [{"id": keys[i], "vector": vectors[i % DIM]} for i in part])
        if start == 5_000:
            client.flush(name)
    some = keys[5:15_000:2] + [keys[5], 77_777 if key == INT_KEY else "none"]
    found = len(set(some)) - 1
    listed = f"id in {json.dumps(some, ensure_ascii=False)}"
    assert count(client, name, listed) == found
    assert count(client, name, f"not ({listed})") == len(keys) - found
    assert count(client, name, "id in {keys}", filter_params={"keys": some}) == found
    assert {row["id"] for row in client.get(name, ids=some, output_fields=["id"])} <= set(some)
    hits = search(client, name, unit(0), filter=listed, limit=100)
    assert {hit["id"] for hit in hits} <= set(some)
    assert client.delete(name, filter=listed)["delete_count"] == len(set(some))
    assert count(client, name, listed) == 0
    assert count(client, name) == len(keys) - found


@pytest.mark.parametrize("key", [INT_KEY, VARCHAR_KEY], ids=["int64", "varchar"])
def test_generated_ids(client, name, key):
    create(client, name, key=key, auto_id=True)
    ids = list(client.insert(name, [{"vector": unit(i)} for i in range(50)])["ids"])
    assert len(set(ids)) == 50
    assert all(isinstance(i, str if key == VARCHAR_KEY else int) for i in ids)
    rows = query(client, name, "", limit=100, output_fields=["id"])
    assert {row["id"] for row in rows} == set(ids)
    assert search(client, name, unit(7), limit=1)[0]["id"] == ids[7]
    with pytest.raises(Exception):
        client.insert(name, [{"id": ids[0], "vector": unit(1)}])


@pytest.mark.parametrize("key", [INT_KEY, VARCHAR_KEY], ids=["int64", "varchar"])
def test_upsert_with_generated_ids_gives_a_new_id(client, name, key):
    create(client, name, key=key, auto_id=True)
    old = client.insert(name, [{"vector": unit(1)}])["ids"][0]
    answer = client.upsert(name, [{"id": old, "vector": unit(2)}])
    assert answer["upsert_count"] == 1
    rows = query(client, name, "", limit=10, output_fields=["id", "vector"])
    assert len(rows) == 1
    assert rows[0]["id"] != old
    assert [float(x) for x in rows[0]["vector"]] == unit(2)
    if "ids" in answer or "primary_keys" in answer:
        assert list(answer.get("ids") or answer["primary_keys"]) == [rows[0]["id"]]


def test_the_same_key_inserted_twice_is_found_once(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    assert ids_of(search(client, name, unit(1))) == [1]


@pytest.mark.parametrize("kind", ["int64", "varchar"])
def test_partition_key(client, name, kind):
    data_type, options = {"int64": (DataType.INT64, {}),
                          "varchar": (DataType.VARCHAR, {"max_length": 32})}[kind]
    tenant = (lambda i: i % 7) if kind == "int64" else (lambda i: "t%d" % (i % 7))
    literal = (lambda i: "%d" % i) if kind == "int64" else (lambda i: "'t%d'" % i)
    create(client, name, ("tenant", data_type, {**options, "is_partition_key": True}))
    client.insert(name, [{"id": i, "vector": unit(i), "tenant": tenant(i)} for i in range(70)])
    assert len(client.list_partitions(name)) == 16
    expected = [i for i in range(70) if i % 7 == 3]
    assert keys_of(query(client, name, "tenant == %s" % literal(3))) == expected
    hits = search(client, name, unit(1), filter="tenant == %s" % literal(3), limit=70)
    assert sorted(ids_of(hits)) == expected
    some = "tenant in [%s, %s]" % (literal(3), literal(4))
    assert count(client, name, some) == 20
    assert count(client, name, "tenant != %s" % literal(3)) == 60
    assert count(client, name) == 70
    client.delete(name, filter="tenant == %s" % literal(3))
    assert count(client, name) == 60


def test_partition_key_collections_refuse_partition_names(client, name):
    create(client, name, ("tenant", DataType.INT64, {"is_partition_key": True}),
           options={"num_partitions": 4})
    assert len(client.list_partitions(name)) == 4
    with refused(1100, "partition key mode"):
        client.search(name, data=[unit(1)], limit=1, partition_names=["_default_0"])
    with pytest.raises(Exception):
        client.create_partition(name, "mine")


def test_partitions(client, name):
    create(client, name)
    for partition in ["red", "2024", "with-dash"]:
        client.create_partition(name, partition)
    assert sorted(client.list_partitions(name)) == ["2024", "_default", "red", "with-dash"]
    assert client.has_partition(name, "2024")
    assert not client.has_partition(name, "blue")
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(10)], partition_name="red")
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(10, 15)])
    for partitions, expected in [(["red"], 10), (["_default"], 5), (["2024"], 0), (None, 15),
                                 (["red", "_default"], 15), ([], 15)]:
        assert count(client, name, partition_names=partitions) == expected
        hits = search(client, name, unit(1), limit=20, partition_names=partitions)
        assert len(hits) == expected
    assert int(client.get_partition_stats(name, "red")["row_count"]) == 10
    rows = client.get(name, ids=[1, 12], output_fields=["id"], partition_names=["_default"])
    assert list(rows) == [{"id": 12}]


def test_delete_in_one_partition(client, name):
    create(client, name)
    client.create_partition(name, "other")
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.insert(name, [{"id": 2, "vector": unit(2)}], partition_name="other")
    client.delete(name, ids=[1, 2], partition_name="other")
    assert keys_of(query(client, name, "id > 0")) == [1]


def test_upsert_into_a_partition(client, name):
    create(client, name)
    client.create_partition(name, "other")
    client.upsert(name, [{"id": 1, "vector": unit(1)}], partition_name="other")
    client.upsert(name, [{"id": 1, "vector": unit(2)}], partition_name="other")
    assert count(client, name, partition_names=["other"]) == 1
    client.upsert(name, [{"id": 1, "vector": unit(3)}])
    assert count(client, name, partition_names=["other"]) == 1
    assert count(client, name, partition_names=["_default"]) == 1
    assert keys_of(query(client, name, "id > 0")) == [1]


def test_unknown_partitions_are_errors(client, name):
    create(client, name)
    with refused(200, "partition not found"):
        client.search(name, data=[unit(1)], limit=1, partition_names=["nowhere"])
    with refused(200, "partition not found"):
        client.query(name, filter="id > 0", partition_names=["nowhere"])
    with refused(200, "partition not found"):
        client.insert(name, [{"id": 1, "vector": unit(1)}], partition_name="nowhere")
    with refused(200, "partition not found"):
        client.load_partitions(name, ["nowhere"])


def test_a_dropped_partition_takes_its_rows_along(client, name):
    create(client, name)
    client.create_partition(name, "gone")
    client.insert(name, [{"id": 1, "vector": unit(1)}], partition_name="gone")
    client.insert(name, [{"id": 2, "vector": unit(2)}])
    with pytest.raises(Exception):
        client.drop_partition(name, "gone")
    client.release_partitions(name, ["gone"])
    client.drop_partition(name, "gone")
    client.load_collection(name)
    assert keys_of(query(client, name, "id > 0")) == [2]
    assert client.list_partitions(name) == ["_default"]


def test_the_default_partition_stays(client, name):
    create(client, name)
    client.release_collection(name)
    with pytest.raises(Exception):
        client.drop_partition(name, "_default")


def test_aliases(client, name):
    create(client, name)
    alias = name + "_alias"
    client.create_alias(name, alias)
    client.insert(alias, [{"id": 1, "vector": unit(1)}])
    assert keys_of(query(client, alias, "id > 0")) == [1]
    assert ids_of(search(client, alias, unit(1))) == [1]
    assert client.describe_alias(alias)["collection_name"] == name
    assert client.list_aliases(name)["aliases"] == [alias]
    assert client.describe_collection(alias)["collection_name"] == name
    with pytest.raises(Exception):
        client.drop_collection(alias)
    with pytest.raises(Exception):
        client.drop_collection(name)
    client.drop_alias(alias)
    assert not client.has_collection(alias)


def test_an_alias_moves_to_another_collection(client, name):
    other = name + "_2"
    create(client, name)
    create(client, other)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.insert(other, [{"id": 2, "vector": unit(2)}])
    alias = name + "_alias"
    client.create_alias(name, alias)
    assert keys_of(query(client, alias, "id > 0")) == [1]
    client.alter_alias(other, alias)
    assert keys_of(query(client, alias, "id > 0")) == [2]
    with refused((1600, 1602)):
        client.create_alias(name, alias)
    client.drop_alias(alias)
    client.drop_collection(other)


def test_an_alias_may_not_be_a_collection_name(client, name):
    create(client, name)
    with refused(1601):
        client.create_alias(name, name)


def test_rename(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.rename_collection(name, name + "_new")
    assert not client.has_collection(name)
    assert keys_of(query(client, name + "_new", "id > 0")) == [1]
    with refused((1, 65535, 1100)):
        client.rename_collection(name + "_new", name + "_new")
    client.rename_collection(name + "_new", name)
    assert keys_of(query(client, name, "id > 0")) == [1]


@pytest.fixture
def database(client, name):
    client.create_database(name)
    yield name
    client.drop_database(name)


def test_databases(client, connect, database):
    assert database in client.list_databases()
    inside = connect(db_name=database)
    create(inside, "things")
    inside.insert("things", [{"id": 1, "vector": unit(1)}])
    assert inside.list_collections() == ["things"]
    assert not client.has_collection("things")
    assert keys_of(query(inside, "things", "id > 0")) == [1]
    with refused((801, 1100, 65535, 5, 1, 802, 800), "not empty"):
        client.drop_database(database)
    inside.drop_collection("things")


def test_the_same_name_in_two_databases(client, connect, database, name):
    inside = connect(db_name=database)
    create(client, name)
    create(inside, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    assert count(inside, name) == 0
    assert count(client, name) == 1
    inside.drop_collection(name)
    assert count(client, name) == 1


def test_using_a_database(connect, database):
    own = connect()
    own.using_database(database)
    create(own, "here")
    assert own.list_collections() == ["here"]
    own.drop_collection("here")
    own.using_database("default")
    assert not own.has_collection("here")


def test_database_properties(client, database):
    client.alter_database_properties(database, {"database.max.collections": "7"})
    assert str(client.describe_database(database)["database.max.collections"]) == "7"
    client.drop_database_properties(database, ["database.max.collections"])
    assert "database.max.collections" not in client.describe_database(database)


def test_an_unknown_database_is_an_error(connect):
    with refused(800, "database not found"):
        connect(db_name="nowhere").list_collections()


def test_shards_and_partitions_do_not_show(client, name):
    client.create_collection(name, schema=make_schema(), num_shards=3, index_params=make_index())
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(100)])
    assert client.describe_collection(name)["num_shards"] == 3
    assert [row["id"] for row in query(client, name, "id >= 0")] == list(range(100))
    assert count(client, name) == 100
    assert search(client, name, unit(42), limit=1)[0]["id"] == 42
    assert client.delete(name, filter="id < 50")["delete_count"] == 50
    client.upsert(name, [{"id": i, "vector": unit(i)} for i in range(60)])
    assert count(client, name) == 100

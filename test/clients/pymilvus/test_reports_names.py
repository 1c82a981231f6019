"""Names that are used again, and many of them, as users of Milvus reported them to go wrong."""

import pytest
from pymilvus import DataType

from helpers import count, create, make_index, make_schema, query, refused, search


def fill(client, name, rows):
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1]} for i in range(rows)])


def test_an_alias_follows_and_protects_its_collection(client, name):
    other, alias = name + "_other", name + "_alias"
    create(client, name)
    create(client, other)
    try:
        fill(client, name, 5)
        fill(client, other, 9)
        client.create_alias(name, alias)
        assert count(client, alias) == 5
        client.upsert(alias, [{"id": 100, "vector": [1, 1, 1, 1]}])
        assert count(client, name) == 6
        with refused(1100, "alias"):
            client.drop_collection(alias)
        with refused(65535, "alias"):
            client.drop_collection(name)
        with refused(1601, "alias"):
            client.create_collection(alias, schema=make_schema())
        client.alter_alias(other, alias)
        assert count(client, alias) == 9
        client.drop_alias(alias)
        with refused(100):
            count(client, alias)
        client.drop_collection(name)
        client.rename_collection(other, name)
        assert (count(client, name), client.has_collection(other)) == (9, False)
        client.create_alias(name, other)
        assert count(client, other) == 9
    finally:
        for made in (alias, other):
            try:
                client.drop_alias(made)
            except Exception:  # It may be the collection of that name by then.
                pass
        client.drop_collection(other)


def test_the_same_collection_again_is_no_error_and_another_is(client, name):
    field = ("n", DataType.INT64, {"default_value": 3})
    client.create_collection(name, schema=make_schema(field))
    client.create_collection(name, schema=make_schema(field))
    with refused(1100, "create duplicate collection with different parameters"):
        client.create_collection(name, schema=make_schema(field, ("m", DataType.INT64)))


@pytest.fixture
def inside(client, connect, name):
    """A client of a database of its own."""
    database = "db_" + name
    client.create_database(database)
    inside = connect(db_name=database)
    yield inside
    for left in inside.list_collections():
        inside.drop_collection(left)
    client.drop_database(database)


def test_a_rename_stays_in_its_database(client, inside, name):
    create(client, name)
    create(inside, name)
    fill(client, name, 2)
    fill(inside, name, 1)
    assert (count(client, name), count(inside, name)) == (2, 1)
    inside.rename_collection(name, name + "_new")
    assert inside.list_collections() == [name + "_new"]
    assert client.has_collection(name) and not client.has_collection(name + "_new")
    with refused(65535, "must drop all collections"):
        client.drop_database("db_" + name)


SHAPES = [
    ([("a", DataType.INT64), ("b", DataType.VARCHAR)], 4, "L2"),
    ([("b", DataType.INT64), ("a", DataType.VARCHAR)], 4, "IP"),
    ([("a", DataType.VARCHAR)], 8, "COSINE"),
]


def test_a_collection_made_again_has_nothing_of_the_old_one(client, connect, name):
    knows_the_old = connect()
    for round in range(9):
        fields, dim, metric = SHAPES[round % 3]
        client.drop_collection(name)
        assert not client.has_collection(name)
        with refused(100):
            query(client, name, "id >= 0")
        options = [(field, kind, {"max_length": 20} if kind == DataType.VARCHAR else {})
                   for field, kind in fields]
        client.create_collection(name, schema=make_schema(*options, dim=dim))
        assert client.list_indexes(name) == []
        assert "NotLoad" in str(client.get_load_state(name)["state"])
        client.create_index(name, make_index(metric_type=metric), sync=False)
        client.load_collection(name)
        assert count(client, name) == 0
        row = {"vector": [1.0] * dim}
        row.update({field: 5 if kind == DataType.INT64 else "s" for field, kind in fields})
        rows = [{"id": i, **row} for i in range(round + 1)]
        try:
            knows_the_old.insert(name, rows)
        except Exception:  # A clear error is right too: a client that knows no old schema writes.
            connect().insert(name, rows)
        for found in query(client, name, "id >= 0", output_fields=["*"]):
            assert {k: found[k] for k in row if k != "vector"} == {
                k: row[k] for k in row if k != "vector"}
        assert len(search(client, name, [1.0] * dim, limit=50)) == round + 1


def test_a_search_holds_to_the_partitions_of_a_long_list(client, name):
    create(client, name)
    names = ["p%d" % i for i in range(120)]
    for partition in names:
        client.create_partition(name, partition)
    assert len(client.list_partitions(name)) == 121
    for i in range(0, 120, 6):
        rows = [{"id": 10 * i + k, "vector": [i, k, 0, 1]} for k in range(5)]
        client.insert(name, rows, partition_name="p%d" % i)
    client.flush(name)
    for wanted, rows in ((["p0"], 5), (["p0", "p6", "p12"], 15), (["p1"], 0), (names, 100),
                         (["_default"], 0), (names[60:], 50)):
        assert count(client, name, "id >= 0", partition_names=wanted) == rows
        hits = search(client, name, [50, 0, 0, 1], limit=500, partition_names=wanted)
        assert len(hits) == rows
    client.release_partitions(name, ["p6"])
    with refused(201, "not loaded"):
        count(client, name, "id >= 0", partition_names=["p6"])
    client.drop_partition(name, "p6")
    client.create_partition(name, "p6")
    client.load_partitions(name, ["p6"])
    assert count(client, name, "id >= 0", partition_names=["p6"]) == 0


def test_many_collections_are_listed_and_answer(client, name):
    names = ["%s_%d" % (name, i) for i in range(40)]
    try:
        for made in names:
            client.create_collection(made, schema=make_schema())
            client.insert(made, [{"id": 1, "vector": [1, 2, 3, 4]}])
        assert set(names) <= set(client.list_collections())
        client.create_index(names[-1], make_index(), sync=False)
        client.load_collection(names[-1])
        assert count(client, names[-1]) == 1
    finally:
        for made in names:
            client.drop_collection(made)

"""Load states and their errors; flush, compaction, statistics; properties; added fields."""

import time

import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from helpers import (DIM, count, create, keys_of, make_index, make_schema, query, refused, search,
                     unit)


needs_added_fields = pytest.mark.skipif(not hasattr(MilvusClient, "add_collection_field"),
                                        reason="this client cannot add fields")


def raw(client):
    """The service's methods, with the protocol's own messages."""
    return client._get_connection()._stub


def state_of(client, name, **options):
    return str(client.get_load_state(name, **options)["state"])


def test_load_and_release(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    assert state_of(client, name) == "Loaded"
    client.release_collection(name)
    assert state_of(client, name) == "NotLoad"
    with refused(101, "not loaded"):
        client.search(name, data=[unit(1)], limit=1)
    with refused(101, "not loaded"):
        client.query(name, filter="id > 0")
    client.load_collection(name)
    assert search(client, name, unit(1))[0]["id"] == 1
    client.load_collection(name)
    client.release_collection(name)
    client.release_collection(name)


def test_writing_needs_no_load(client, name):
    create(client, name)
    client.release_collection(name)
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(5)])
    client.upsert(name, [{"id": 1, "vector": unit(8)}])
    client.delete(name, ids=[2])
    client.load_collection(name)
    assert keys_of(query(client, name, "id >= 0")) == [0, 1, 3, 4]


def test_loading_needs_an_index(client, name):
    client.create_collection(name, schema=make_schema(vectors=("a", "b")))
    with refused(700, "index"):
        client.load_collection(name)
    client.create_index(name, make_index("a"), sync=False)
    with refused((700, 65535), "no vector index on field: [b]"):
        client.load_collection(name)


def test_a_collection_made_with_its_index_is_loaded(client, name):
    client.create_collection(name, schema=make_schema(), index_params=make_index())
    assert state_of(client, name) == "Loaded"


def test_a_collection_made_without_index_is_not_loaded(client, name):
    client.create_collection(name, schema=make_schema())
    assert state_of(client, name) == "NotLoad"
    assert state_of(client, name + "_no") == "NotExist"


def test_partial_load(client, name):
    create(client, name)
    client.release_collection(name)
    for i, partition in enumerate(["a", "b"]):
        client.create_partition(name, partition)
        client.insert(name, [{"id": i, "vector": unit(i)}], partition_name=partition)
    client.load_partitions(name, ["a"])
    assert state_of(client, name, partition_name="a") == "Loaded"
    assert state_of(client, name, partition_name="b") == "NotLoad"
    assert keys_of(query(client, name, "id >= 0", partition_names=["a"])) == [0]
    assert keys_of(search(client, name, unit(0))) == [0]
    with refused((101, 201), "not loaded"):
        client.query(name, filter="id >= 0", partition_names=["b"])
    client.load_partitions(name, ["b"])
    assert keys_of(query(client, name, "id >= 0")) == [0, 1]
    client.release_partitions(name, ["a"])
    assert keys_of(query(client, name, "id >= 0")) == [1]
    client.release_partitions(name, ["b"])
    with refused(101, "not loaded"):
        client.query(name, filter="id >= 0")


def test_a_partition_added_to_a_loaded_collection_is_loaded(client, name):
    create(client, name)
    client.create_partition(name, "late")
    client.insert(name, [{"id": 1, "vector": unit(1)}], partition_name="late")
    assert state_of(client, name, partition_name="late") == "Loaded"
    assert count(client, name, partition_names=["late"]) == 1


def test_loading_what_is_not_there(client, name):
    with refused(100, "collection not found"):
        client.load_collection(name)
    with refused(100, "collection not found"):
        client.release_collection(name)


def test_refresh_load(client, name):
    create(client, name)
    client.refresh_load(name)
    assert state_of(client, name) == "Loaded"


def test_flush_keeps_every_row_findable(client, name):
    create(client, name, dim=8)
    for batch in range(3):
        client.insert(name, [{"id": batch * 500 + i, "vector": unit(i, 8)} for i in range(500)])
        client.flush(name)
    assert count(client, name) == 1500
    client.flush(name)
    assert search(client, name, unit(3, 8), limit=3)[0]["distance"] == 0


def test_r23_flush_has_no_rate_limit(client, name):
    create(client, name)
    for i in range(30):
        client.insert(name, [{"id": i, "vector": unit(i)}])
        # The client would hide a refusal by asking again.
        answer = raw(client).Flush(milvus_pb2.FlushRequest(collection_names=[name]))
        assert answer.status.code == 0, answer.status
    assert count(client, name) == 30


def test_r23_flush_answers_when_sealed_and_its_state_tells_when_written(client, name):
    """What was flushed is out of the growing data once GetFlushState says so, whoever waits."""
    create(client, name)
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(100)])
    answer = raw(client).Flush(milvus_pb2.FlushRequest(collection_names=[name]))
    sealed = list(answer.coll_segIDs[name].data)
    assert len(sealed) >= 1
    # Answered at once: the rows are readable in any case, in segments once the state is true.
    assert count(client, name) == 100
    state = milvus_pb2.GetFlushStateRequest(segmentIDs=sealed, flush_ts=answer.coll_flush_ts[name],
                                            collection_name=name)
    deadline = time.monotonic() + 30
    while not raw(client).GetFlushState(state).flushed:
        assert time.monotonic() < deadline, "the segments are not written"
        time.sleep(0.01)
    segments = raw(client).GetPersistentSegmentInfo(
        milvus_pb2.GetPersistentSegmentInfoRequest(collectionName=name)).infos
    assert sum(segment.num_rows for segment in segments) == 100
    later = raw(client).Flush(milvus_pb2.FlushRequest(collection_names=[name]))
    assert list(later.coll_segIDs[name].data) == []
    assert set(sealed) <= set(later.flush_coll_segIDs[name].data)


def test_statistics_count_acknowledged_rows(client, name):
    create(client, name)
    assert int(client.get_collection_stats(name)["row_count"]) == 0
    client.insert(name, [{"id": i, "vector": unit(i)} for i in range(10)])
    assert int(client.get_collection_stats(name)["row_count"]) == 10
    client.flush(name)
    assert int(client.get_collection_stats(name)["row_count"]) == 10


def test_compaction_ends_and_changes_no_answer(client, name):
    create(client, name, dim=8)
    for batch in range(4):
        client.insert(name, [{"id": batch * 100 + i, "vector": unit(i, 8)} for i in range(100)])
        client.flush(name)
    client.delete(name, filter="id % 3 == 0")
    before = query(client, name, "id >= 0", output_fields=["vector"])
    job = client.compact(name)
    deadline = time.monotonic() + 30
    while str(client.get_compaction_state(job)) != "Completed":
        assert time.monotonic() < deadline, "the compaction does not end"
        time.sleep(0.05)
    after = query(client, name, "id >= 0", output_fields=["vector"])
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert [list(row["vector"]) for row in after] == [list(row["vector"]) for row in before]
    assert count(client, name) == len(before) == 266


def test_collection_properties(client, name):
    create(client, name)
    client.alter_collection_properties(name, {"collection.autocompaction.enabled": "true"})
    properties = client.describe_collection(name)["properties"]
    assert properties["collection.autocompaction.enabled"] == "true"
    client.drop_collection_properties(name, ["collection.autocompaction.enabled"])
    properties = client.describe_collection(name).get("properties", {})
    assert "collection.autocompaction.enabled" not in properties


def test_properties_given_at_creation(client, name):
    client.create_collection(name, schema=make_schema(), properties={"collection.ttl.seconds": 0,
                                                                     "mmap.enabled": True})
    assert str(client.describe_collection(name)["properties"]["mmap.enabled"]).lower() == "true"


def test_a_longer_text_after_alter_field(client, name):
    create(client, name, ("s", DataType.VARCHAR, {"max_length": 4}))
    with refused(1100, "exceeds max length"):
        client.insert(name, [{"id": 1, "vector": unit(1), "s": "too long"}])
    client.alter_collection_field(name, "s", {"max_length": 10})
    client.insert(name, [{"id": 1, "vector": unit(1), "s": "too long"}])
    assert query(client, name, "s == 'too long'", output_fields=["id"]) == [{"id": 1}]


@needs_added_fields
def test_an_added_field_is_null_in_old_rows(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.flush(name)
    client.insert(name, [{"id": 2, "vector": unit(2)}])
    client.add_collection_field(name, "note", DataType.VARCHAR, max_length=32, nullable=True)
    client.insert(name, [{"id": 3, "vector": unit(3), "note": "new"}])
    rows = query(client, name, "id > 0", output_fields=["note"])
    assert [row["note"] for row in rows] == [None, None, "new"]
    assert keys_of(query(client, name, "note is null")) == [1, 2]
    assert keys_of(query(client, name, "note == 'new'")) == [3]
    with refused(1100, "nullable"):
        client.add_collection_field(name, "must", DataType.INT64, nullable=False)


@needs_added_fields
def test_an_added_field_with_a_default_has_it_in_old_rows(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.flush(name)
    client.insert(name, [{"id": 2, "vector": unit(2)}])
    client.add_collection_field(name, "note", DataType.VARCHAR, max_length=32, nullable=True,
                                default_value="old")
    client.add_collection_field(name, "n", DataType.INT64, nullable=True, default_value=7)
    fields = {field["name"]: field for field in client.describe_collection(name)["fields"]}
    assert fields["n"]["default_value"].long_data == 7
    client.insert(name, [{"id": 3, "vector": unit(3), "note": "new", "n": 8},
                         {"id": 4, "vector": unit(4), "note": None},
                         {"id": 5, "vector": unit(5)}])

    def check(keys, last=8):
        rows = query(client, name, "id > 0", output_fields=["note", "n"])
        assert [(row["id"], row["note"], row["n"]) for row in rows] == [
            (key, "new" if key == 3 else "old", last if key == 3 else 7) for key in keys]
        assert keys_of(query(client, name, "note is null or n is null")) == []
        assert keys_of(query(client, name, "note == 'old' and n < 8")) == [
            key for key in keys if key != 3]
        assert query(client, name, "n == 7", output_fields=["count(*)"]) == [
            {"count(*)": len(keys) - 1}]
        found = search(client, name, unit(1), filter="n == 7", output_fields=["n", "note"])
        assert sorted((hit["id"], hit["entity"]["n"]) for hit in found) == [
            (key, 7) for key in keys if key != 3]

    check([1, 2, 3, 4, 5])
    index = client.prepare_index_params()
    index.add_index("n", index_type="INVERTED")
    index.add_index("note", index_type="TRIE")
    client.create_index(name, index)
    check([1, 2, 3, 4, 5])
    client.flush(name)
    check([1, 2, 3, 4, 5])
    client.upsert(name, [{"id": 3, "n": 9}], partial_update=True)
    client.upsert(name, [{"id": 2, "vector": unit(2)}], partial_update=True)
    check([1, 2, 3, 4, 5], last=9)
    assert client.delete(name, filter="n == 7 and note == 'old' and id < 2")["delete_count"] == 1
    check([2, 3, 4, 5], last=9)
    client.release_collection(name)
    client.load_collection(name)
    check([2, 3, 4, 5], last=9)


@needs_added_fields
def test_an_added_vector_field_is_searched_after_the_next_load(client, name):
    create(client, name)
    client.insert(name, [{"id": 1, "vector": unit(1)}])
    client.flush(name)
    client.add_collection_field(name, "second", DataType.FLOAT_VECTOR, dim=DIM, nullable=True)
    client.insert(name, [{"id": 2, "vector": unit(2), "second": unit(2)},
                         {"id": 3, "vector": unit(3), "second": None}])
    assert [row["second"] for row in query(client, name, "id > 0", output_fields=["second"])] == [
        None, unit(2), None]
    with refused(101, "field index of the field: second is not loaded, please reload"):
        search(client, name, unit(2), anns_field="second")
    client.release_collection(name)
    with refused(700, "there is no vector index on field: [second], please create index first"):
        client.load_collection(name)
    client.create_index(name, make_index("second"), sync=False)
    client.load_collection(name)
    assert keys_of(search(client, name, unit(2), anns_field="second")) == [2]
    assert len(search(client, name, unit(2), anns_field="vector")) == 3


def test_descriptions_are_kept(client, name):
    schema = make_schema(description="about this")
    schema.add_field("n", DataType.INT64, description="a number")
    client.create_collection(name, schema=schema)
    about = client.describe_collection(name)
    assert about["description"] == "about this"
    assert about["fields"][2]["description"] == "a number"

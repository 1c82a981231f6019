"""The quick starts that every newcomer types: MilvusClient and the older ORM."""

import pytest
from pymilvus import (
    Collection,
    CollectionSchema,
    DataType,
    FieldSchema,
    MilvusClient,
    Partition,
    connections,
    utility,
)

from helpers import ids_of, unit


def test_milvus_client_quick_start(client, name):
    client.create_collection(name, dimension=8)
    data = [{"id": i, "vector": unit(i, 8), "text": "t%d" % i, "subject": "history"}
            for i in range(30)]
    assert client.insert(name, data)["insert_count"] == 30
    hits = client.search(name, data=[unit(7, 8)], limit=3, output_fields=["text", "subject"])
    assert hits[0][0]["id"] == 7
    assert hits[0][0]["entity"] == {"text": "t7", "subject": "history"}
    assert len(hits[0]) == 3
    rows = client.query(name, filter="subject == 'history' and id < 3", output_fields=["text"])
    assert list(rows) == [{"id": i, "text": "t%d" % i} for i in range(3)]
    assert list(client.get(name, ids=[5], output_fields=["text"])) == [{"id": 5, "text": "t5"}]
    client.delete(name, ids=[0, 2])
    client.delete(name, filter="text == 't1'")
    rows = client.query(name, filter="id < 5", output_fields=["id"])
    assert list(rows) == [{"id": 3}, {"id": 4}]
    client.drop_collection(name)
    assert not client.has_collection(name)


@pytest.mark.parametrize("metric_type", ["COSINE", "L2", "IP"])
@pytest.mark.parametrize("id_type", ["int", "string"])
def test_quick_create_takes_metric_and_key_type(client, name, metric_type, id_type):
    options = {"max_length": 32} if id_type == "string" else {}
    client.create_collection(name, dimension=4, metric_type=metric_type, id_type=id_type,
                             primary_field_name="key", vector_field_name="v", **options)
    key = "a" if id_type == "string" else 1
    client.insert(name, {"key": key, "v": [0.5, 0.25, 0.125, 1.0]})
    hit = client.search(name, data=[[0.5, 0.25, 0.125, 1.0]], limit=1)[0][0]
    assert hit["key"] == key
    index = client.describe_index(name, client.list_indexes(name)[0])
    assert index["metric_type"] == metric_type
    assert index["index_type"] == "AUTOINDEX"


def test_quick_create_with_auto_id(client, name):
    client.create_collection(name, dimension=4, auto_id=True)
    answer = client.insert(name, [{"vector": unit(i)} for i in range(4)])
    assert len(set(answer["ids"])) == 4
    assert {row["id"] for row in client.query(name, filter="id > 0")} == set(answer["ids"])


def test_a_quickly_created_collection_is_loaded(client, name):
    client.create_collection(name, dimension=4)
    assert str(client.get_load_state(name)["state"]) == "Loaded"


def test_describe_collection(client, name):
    client.create_collection(name, dimension=4)
    about = client.describe_collection(name)
    assert about["collection_name"] == name
    assert about["enable_dynamic_field"] is True
    assert about["auto_id"] is False
    assert about["num_shards"] == 1
    assert [field["name"] for field in about["fields"]] == ["id", "vector"]
    assert about["fields"][0]["is_primary"] is True
    assert about["fields"][0]["type"] == DataType.INT64
    assert about["fields"][1]["params"] == {"dim": 4}
    assert name in client.list_collections()


def test_server_version_reads_as_a_version(client):
    major, minor, *_ = client.get_server_version().lstrip("v").split(".")
    assert (int(major), int(minor)) >= (2, 5)


@pytest.fixture
def orm(uri):
    connections.connect("orm", uri=uri)
    yield "orm"
    connections.disconnect("orm")


@pytest.fixture
def collection(orm, client, name):
    fields = [
        FieldSchema("pk", DataType.VARCHAR, is_primary=True, auto_id=False, max_length=100),
        FieldSchema("random", DataType.DOUBLE),
        FieldSchema("embeddings", DataType.FLOAT_VECTOR, dim=8),
    ]
    schema = CollectionSchema(fields, "the simplest demo")
    return Collection(name, schema, using=orm, consistency_level="Strong")


def fill(collection, rows=60):
    vectors = [unit(i, 8) for i in range(rows)]
    return collection.insert([[str(i) for i in range(rows)], [i / 4 for i in range(rows)], vectors])


def test_orm_quick_start(orm, collection, name):
    assert utility.has_collection(name, using=orm)
    assert fill(collection).insert_count == 60
    collection.flush()
    assert collection.num_entities == 60
    index = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 128}}
    collection.create_index("embeddings", index)
    collection.load()
    param = {"metric_type": "L2", "params": {"nprobe": 128}}
    result = collection.search([unit(3, 8), unit(4, 8)], "embeddings", param, limit=3,
                               output_fields=["random"])
    assert [hits[0].id for hits in result] == ["3", "4"]
    assert result[0][0].distance == 0
    assert result[0][0].entity.get("random") == 0.75
    rows = collection.query(expr="random > 14", output_fields=["random"])
    assert [row["pk"] for row in rows] == ["57", "58", "59"]
    result = collection.search([unit(3, 8)], "embeddings", param, limit=3, expr="random > 10")
    assert all(int(hit.id) > 40 for hit in result[0])
    assert collection.delete('pk in ["0", "1"]').delete_count == 2
    assert list(collection.query(expr='pk in ["0", "1"]')) == []
    assert list(collection.query(expr="", output_fields=["count(*)"])) == [{"count(*)": 58}]
    utility.drop_collection(name, using=orm)
    assert not utility.has_collection(name, using=orm)


def test_orm_index_object(orm, collection):
    fill(collection, 4)
    collection.create_index("embeddings", {"index_type": "HNSW", "metric_type": "COSINE",
                                           "params": {"M": 8, "efConstruction": 64}})
    assert collection.has_index()
    index = collection.index()
    assert index.field_name == "embeddings"
    assert index.params["index_type"] == "HNSW"
    assert index.params["params"] == {"M": 8, "efConstruction": 64}
    progress = utility.index_building_progress(collection.name, using=orm)
    assert progress["total_rows"] == progress["indexed_rows"] == 4
    assert utility.wait_for_index_building_complete(collection.name, using=orm)
    collection.drop_index()
    assert not collection.has_index()


def test_orm_partition_object(orm, collection):
    partition = Partition(collection, "early")
    assert collection.has_partition("early")
    partition.insert([["a"], [1.0], [unit(1, 8)]])
    assert partition.num_entities == 1
    assert not partition.is_empty
    collection.create_index("embeddings", {"index_type": "FLAT", "metric_type": "L2", "params": {}})
    partition.load()
    assert partition.search([unit(1, 8)], "embeddings", {}, limit=1)[0][0].id == "a"
    assert partition.query('pk == "a"', output_fields=["random"])[0]["random"] == 1.0
    partition.release()
    partition.drop()
    assert not collection.has_partition("early")


def test_orm_load_state_and_progress(orm, collection, name):
    collection.create_index("embeddings", {"index_type": "FLAT", "metric_type": "L2", "params": {}})
    assert str(utility.load_state(name, using=orm)) == "NotLoad"
    collection.load()
    assert utility.loading_progress(name, using=orm)["loading_progress"] == "100%"
    utility.wait_for_loading_complete(name, using=orm)
    assert str(utility.load_state(name, using=orm)) == "Loaded"
    collection.release()
    assert str(utility.load_state(name, using=orm)) == "NotLoad"
    assert str(utility.load_state(name + "_no", using=orm)) == "NotExist"


def test_orm_aliases_and_rename(orm, collection, name):
    utility.create_alias(name, name + "_alias", using=orm)
    assert utility.list_aliases(name, using=orm) == [name + "_alias"]
    assert Collection(name + "_alias", using=orm).schema == collection.schema
    utility.drop_alias(name + "_alias", using=orm)
    utility.rename_collection(name, name + "_new", using=orm)
    assert utility.has_collection(name + "_new", using=orm)
    utility.rename_collection(name + "_new", name, using=orm)


def test_orm_describes_schema_and_version(orm, collection, name):
    schema = collection.describe()
    assert schema["collection_name"] == name
    assert schema["description"] == "the simplest demo"
    assert collection.primary_field.name == "pk"
    assert collection.is_empty
    assert name in utility.list_collections(using=orm)
    assert utility.get_server_version(using=orm)
    assert utility.get_server_type(using=orm) == "milvus"


def test_orm_upsert_and_iterator(orm, collection):
    fill(collection)
    collection.create_index("embeddings", {"index_type": "FLAT", "metric_type": "L2", "params": {}})
    collection.load()
    assert collection.upsert([["3"], [99.0], [unit(3, 8)]]).upsert_count == 1
    assert collection.query('pk == "3"', output_fields=["random"])[0]["random"] == 99.0
    iterator = collection.query_iterator(batch_size=25, expr="random >= 0", output_fields=["pk"])
    seen = []
    while page := iterator.next():
        seen += ids_of(page, "pk")
    iterator.close()
    assert sorted(seen, key=int) == [str(i) for i in range(60)]


def test_orm_sees_what_the_client_made(orm, client, name):
    client.create_collection(name, dimension=4)
    client.insert(name, [{"id": 1, "vector": unit(1), "colour": "red"}])
    rows = Collection(name, using=orm).query("id == 1", output_fields=["colour"])
    assert list(rows) == [{"id": 1, "colour": "red"}]
    assert isinstance(MilvusClient.create_schema(), CollectionSchema)

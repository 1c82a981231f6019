"""What the tests share: schemas in one call, and scores computed by hand."""

import math
import struct

import pymilvus
import pytest
from pymilvus import DataType, MilvusClient, MilvusException

DIM = 4
CLIENT = tuple(int(part) for part in pymilvus.__version__.split(".")[:2])


def to_float32(value):
    """The nearest 32-bit value, as a Python float."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def make_schema(*fields, key=("id", DataType.INT64), vectors=("vector",), dim=DIM, auto_id=False,
                dynamic=False, **options):
    """A schema of key, vectors and `fields`: pairs (name, type) or triples with options."""
    schema = MilvusClient.create_schema(auto_id=auto_id, enable_dynamic_field=dynamic, **options)
    key_options = {"max_length": 64} if key[1] == DataType.VARCHAR else {}
    schema.add_field(key[0], key[1], is_primary=True, **key_options)
    for vector in vectors:
        schema.add_field(vector, DataType.FLOAT_VECTOR, dim=dim)
    for name, kind, *rest in fields:
        schema.add_field(name, kind, **(rest[0] if rest else {}))
    return schema


def make_index(*vectors, index_type="FLAT", metric_type="L2", **params):
    index = MilvusClient.prepare_index_params()
    for vector in vectors or ("vector",):
        index.add_index(vector, index_type=index_type, metric_type=metric_type, params=params)
    return index


def create(client, name, *fields, metric_type="L2", index_type="FLAT", options=None, **schema):
    """Creates a collection that is indexed and loaded."""
    vectors = schema.get("vectors", ("vector",))
    client.create_collection(name, schema=make_schema(*fields, **schema), **(options or {}))
    index = make_index(*vectors, index_type=index_type, metric_type=metric_type)
    # Without sync=False the client sleeps half a second for each index.
    client.create_index(name, index, sync=False)
    client.load_collection(name)


def query(client, name, filter="", **options):
    """The rows as plain dicts: what the client returns compares only once it has been read."""
    return [dict(row) for row in client.query(name, filter=filter, **options)]


def search(client, name, vector, **options):
    """The hits of one query vector."""
    options = {"limit": 10, **options}
    return list(client.search(name, data=[vector], **options)[0])


def unit(i, dim=DIM):
    """The i-th vector of a fixed, irregular sequence; all its values are exact in 32 bits."""
    return [((i * 37 + j * 101) % 1000 - 500) / 512 for j in range(dim)]


def score(metric_type, a, b):
    dot = sum(x * y for x, y in zip(a, b))
    if metric_type == "L2":
        return sum((x - y) ** 2 for x, y in zip(a, b))
    if metric_type == "IP":
        return dot
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def rank(metric_type, query, vectors):
    """(key, score) of all of `vectors`, a dict by key; the best first."""
    scored = [(key, score(metric_type, query, vector)) for key, vector in vectors.items()]
    return sorted(scored, key=lambda hit: hit[1] if metric_type == "L2" else -hit[1])


def ids_of(hits, key="id"):
    return [hit[key] for hit in hits]


def keys_of(rows, key="id"):
    return sorted(row[key] for row in rows)


def count(client, name, filter="", **options):
    return query(client, name, filter, output_fields=["count(*)"], **options)[0]["count(*)"]


class refused:
    """`with refused(code, "text"): ...`: the server must refuse with this code and these words."""

    def __init__(self, code, text=""):
        self.code, self.text = code, text

    def __enter__(self):
        self.context = pytest.raises(MilvusException)
        self.error = self.context.__enter__()
        return self.error

    def __exit__(self, *exc):
        handled = self.context.__exit__(*exc)
        error = self.error.value
        codes = self.code if isinstance(self.code, tuple) else (self.code,)
        # For wrong parameters Milvus answers now one, now the other.
        codes += (1101, 1102, 65535) if 1100 in codes else ()
        assert error.code in codes, "code %s: %s" % (error.code, error.message)
        assert self.text.lower() in error.message.lower(), error.message
        return handled

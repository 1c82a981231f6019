"""Writes that users of Milvus and its rivals reported as lost, wrong or taken against a limit."""

import asyncio
import threading
import time

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

import pymilvus
from helpers import CLIENT, count, create, keys_of, query, refused, search, unit

needs_partial_update = pytest.mark.skipif(CLIENT < (2, 6), reason="no partial upsert")


def row_of(client, name, key):
    rows = query(client, name, "id == %r" % key, output_fields=["*"])
    assert len(rows) == 1
    return rows[0]


def wait_for_compaction(client, name):
    job, deadline = client.compact(name), time.time() + 30
    while client.get_compaction_state(job) != "Completed":
        assert time.time() < deadline
        time.sleep(0.05)


TENANTS = {
    DataType.VARCHAR: ["", "a1", "日本", "😀", "x" * 60, "'q'", "A1", " n7"]
    + ["t%d" % i for i in range(32)],
    DataType.INT64: [0, -1, 1, 2**63 - 1, -2**63, 7] + list(range(100, 134)),
}


@pytest.mark.parametrize("kind", TENANTS)
def test_a_partition_key_is_a_column_like_others(client, name, kind):
    keys, options = TENANTS[kind], {"max_length": 256} if kind == DataType.VARCHAR else {}
    create(client, name, ("k", kind, {"is_partition_key": True, **options}), ("n", DataType.INT64))
    rows = [{"id": i, "vector": [i, 0, 0, 1], "k": keys[i % 40], "n": i % 10} for i in range(200)]
    client.insert(name, rows)

    def expect(filter, truth, **params):
        found = keys_of(query(client, name, filter, output_fields=["id"], filter_params=params))
        assert found == [row["id"] for row in rows if truth(row)], (filter, params)

    def look():
        for k, other in zip(keys[:8], keys[5:13]):
            expect("k == {k}", lambda r: r["k"] == k, k=k)
            expect("n in [1, 2] or k == {k}", lambda r: r["n"] in (1, 2) or r["k"] == k, k=k)
            expect("not (k == {k})", lambda r: r["k"] != k, k=k)
            expect("k in {p}", lambda r: r["k"] in (k, other), p=[k, other, k])
            expect("(k == {k} and n > 5) or (k == {o} and n < 5)", lambda r: r["k"] == k
                   and r["n"] > 5 or r["k"] == other and r["n"] < 5, k=k, o=other)
            expect("k == {k} and k == {o}", lambda r: False, k=k, o=other)

    look()
    client.flush(name)
    look()
    rows[:50] = [{**row, "k": keys[(row["id"] + 17) % 40], "n": 50} for row in rows[:50]]
    client.upsert(name, rows[:50])
    assert count(client, name) == 200
    look()
    client.delete(name, filter="k == {k} or n == 9", filter_params={"k": keys[8]})
    rows = [row for row in rows if row["k"] != keys[8] and row["n"] != 9]
    look()


@pytest.mark.parametrize("partial", [False, pytest.param(True, marks=needs_partial_update)])
@pytest.mark.parametrize("kind", [DataType.INT64, DataType.VARCHAR])
def test_a_key_twice_in_one_upsert_writes_nothing(client, name, kind, partial):
    key = str if kind == DataType.VARCHAR else int
    create(client, name, ("n", DataType.INT64), key=("id", kind))
    client.insert(name, [{"id": key(i), "vector": unit(i), "n": -1} for i in range(5)])
    batch = [{"id": key(i // 2), "vector": unit(i), "n": i} for i in range(20)]
    with refused(1100, "duplicate"):
        client.upsert(name, batch, **({"partial_update": True} if partial else {}))
    rows = query(client, name, "n > -9", output_fields=["n"])
    assert [(row["id"], row["n"]) for row in rows] == [(key(i), -1) for i in range(5)]


@needs_partial_update
def test_two_clients_update_fields_of_one_row_at_once(client, connect, name):
    create(client, name, *[("f%d" % i, DataType.INT64, {"nullable": True}) for i in range(2)])
    client.insert(name, [{"id": 3, "vector": unit(3), "f0": 0, "f1": 0}])
    failed = []

    def update(mine, field):
        for value in range(1, 101):
            try:
                mine.upsert(name, [{"id": 3, field: value}], partial_update=True)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=update, args=(connect(), "f%d" % i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    row = row_of(client, name, 3)
    assert (row["f0"], row["f1"]) == (100, 100)


@needs_partial_update
def test_twenty_updates_of_one_row_without_waiting(client, uri, name):
    create(client, name, dynamic=True)
    client.insert(name, [{"id": 4, "vector": unit(4)}])

    async def burst():
        mine = pymilvus.AsyncMilvusClient(uri)
        updates = [mine.upsert(name, [{"id": 4, "k%d" % k: k}], partial_update=True)
                   for k in range(20)]
        answers = await asyncio.gather(*updates, return_exceptions=True)
        await mine.close()
        return [answer for answer in answers if isinstance(answer, Exception)]

    assert asyncio.run(burst()) == []
    row = row_of(client, name, 4)
    assert [row["k%d" % k] for k in range(20)] == list(range(20))


@needs_partial_update
@pytest.mark.parametrize("written", [False, True])
def test_a_partial_update_changes_what_it_names(client, name, written):
    create(client, name, ("t", DataType.VARCHAR, {"max_length": 99, "nullable": True}),
           ("n", DataType.INT64, {"default_value": 7}), ("j", DataType.JSON, {"nullable": True}),
           ("a", DataType.ARRAY, {"element_type": DataType.INT64, "max_capacity": 9,
                                  "nullable": True}), dynamic=True)
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], "t": "x", "n": i, "a": [i],
                          "j": {"i": i}, "dyn": i, "flag": True} for i in range(10)])
    if written:
        client.flush(name)

    def update(*rows):
        client.upsert(name, list(rows), partial_update=True)

    def values(key, *names):
        row = row_of(client, name, key)
        return [row.get(each) for each in names]

    update({"id": 0, "vector": [9, 9, 9, 9], "t": "old"}, {"id": 80, "vector": [7] * 4, "t": "new"})
    assert values(0, "t", "n") == ["old", 0] and values(80, "t", "n") == ["new", 7]
    update({"id": 1, "dyn": 99})
    assert values(1, "t", "n", "a", "j", "dyn", "flag") == ["x", 1, [1], {"i": 1}, 99, True]
    update({"id": 2, "dyn": 98, "vector": [1] * 4}, {"id": 90, "dyn": 97, "vector": [2] * 4})
    assert values(2, "dyn", "flag") == [98, True] and values(90, "dyn") == [97]
    update({"id": 3, "t": None})
    assert values(3, "t", "n", "a", "j", "dyn") == [None, 3, [3], {"i": 3}, 3]
    update({"id": 4, "a": []})
    assert values(4, "a", "t", "vector") == [[], "x", [4, 0, 0, 1]]
    update({"id": 5})
    assert values(5, "t", "n", "a", "dyn") == ["x", 5, [5], 5]
    with refused(1100):
        update({"id": 95, "t": "no vector"})
    client.add_collection_field(name, "flag", DataType.BOOL, nullable=True)
    client.add_collection_field(name, "later", DataType.INT64, nullable=True, default_value=5)
    update({"id": 6, "n": 1234})
    assert values(6, "n", "later", "dyn", "t") == [1234, 5, 6, "x"]
    assert count(client, name) == 12


def test_an_added_field_has_its_default_everywhere(client, name):
    if CLIENT < (2, 6):
        pytest.skip("this client cannot add fields")
    create(client, name, ("n", DataType.INT64), index_type="HNSW")
    rows = [{"id": i, "vector": unit(i), "n": i} for i in range(1300)]
    client.insert(name, rows[:1100])
    client.flush(name)
    client.insert(name, rows[1100:])
    client.add_collection_field(name, "t", DataType.VARCHAR, max_length=120, nullable=True,
                                default_value="unset")
    client.add_collection_field(name, "k", DataType.INT64, nullable=True)
    client.insert(name, [{"id": 2000 + i, "vector": unit(i), "n": i, "t": "own", "k": i + 1}
                         for i in range(100)])
    client.insert(name, [{"id": 3000 + i, "vector": unit(i), "n": i, "t": None} for i in range(50)])
    client.upsert(name, [{"id": i, "vector": unit(i), "n": i, "t": "up", "k": 7}
                         for i in range(50)])

    def look():
        for filter, rows in (("t == 'unset'", 1300), ("t == 'own'", 100), ("t == 'up'", 50),
                             ("t is null", 0), ("k is null", 1300), ("k > 0", 150),
                             ("t != 'unset'", 150), ("t like 'un%' and id < 1000", 950),
                             ("t in ['unset', 'own']", 1400)):
            assert count(client, name, filter) == rows, filter
        hits = search(client, name, unit(1), filter="t == 'unset'", limit=100,
                      output_fields=["t", "k"])
        assert len(hits) == 100
        assert {(hit["entity"]["t"], hit["entity"]["k"]) for hit in hits} == {("unset", None)}

    look()
    client.flush(name)
    index = client.prepare_index_params()
    index.add_index("t", index_type="INVERTED")
    index.add_index("k", index_type="STL_SORT")
    client.create_index(name, index, sync=False)
    look()
    wait_for_compaction(client, name)
    look()
    client.release_collection(name)
    client.load_collection(name)
    look()


def test_a_request_above_64_mib_is_refused_and_the_connection_goes_on(client, name):
    create(client, name, dim=4096)
    vector = np.zeros(4096, np.float32)
    with pytest.raises(Exception) as error:
        client.insert(name, [{"id": i, "vector": vector} for i in range(4200)])
    for number in ("68821", "67108864"):
        assert number in str(error.value), str(error.value)[:300]
    client.insert(name, [{"id": 1, "vector": vector}])
    assert count(client, name) == 1


BITS = {"i8": (DataType.INT8, 8), "i16": (DataType.INT16, 16), "i32": (DataType.INT32, 32),
        "i64": (DataType.INT64, 64)}


@pytest.mark.parametrize("kind", BITS)
def test_a_number_that_does_not_fit_writes_nothing_of_its_batch(client, name, kind):
    data_type, bits = BITS[kind]
    low, high = -2**(bits - 1), 2**(bits - 1) - 1
    array = {"element_type": data_type, "max_capacity": 9, "nullable": True}
    create(client, name, ("x", data_type, {"nullable": True}), ("a", DataType.ARRAY, array))
    client.upsert(name, [{"id": 1, "vector": unit(1), "x": low, "a": [low, high]},
                         {"id": 2, "vector": unit(2), "x": high, "a": [high, 0]}])
    rows = query(client, name, "id > 0", output_fields=["x", "a"])
    assert [(r["x"], list(r["a"])) for r in rows] == [(low, [low, high]), (high, [high, 0])]
    for value in (high + 1, low - 1, 1000 * high, 1.5, "7"):
        for field, wrong in (("x", value), ("a", [0, value])):
            for write in (client.insert, client.upsert):
                with pytest.raises(Exception):
                    write(name, [{"id": 8, "vector": unit(8)},
                                 {"id": 9, "vector": unit(9), field: wrong}])
    assert count(client, name) == 2


def test_numpy_values_are_stored_as_what_they_hold(client, name):
    create(client, name, ("i", DataType.INT64, {"nullable": True}),
           ("s", DataType.INT16, {"nullable": True}), ("d", DataType.DOUBLE, {"nullable": True}))
    for value, field in ((np.int8(5), "i"), (np.uint8(200), "s"), (np.float16(0.5), "d")):
        try:
            client.upsert(name, [{"id": 7, "vector": unit(7), field: value}])
        except pymilvus.MilvusException:
            continue  # The client's own choice.
        assert row_of(client, name, 7)[field] == value
    for vector in (np.arange(4) / 3, np.arange(8, dtype=np.float32)[::2]):
        client.upsert(name, [{"id": 8, "vector": vector}])
        stored = [float(x) for x in row_of(client, name, 8)["vector"]]
        assert stored == [float(np.float32(x)) for x in vector]
    for vector in ([1, 2, 3], [], [1, 2, 3, None], ["a"] * 4, [[1, 2], [3, 4]]):
        with pytest.raises(Exception):
            client.insert(name, [{"id": 9, "vector": vector}])
    assert count(client, name, "id == 9") == 0


def test_lengths_are_counted_in_bytes_and_name_both_sides(client, name):
    create(client, name, ("t", DataType.VARCHAR, {"max_length": 12}), ("j", DataType.JSON),
           ("a", DataType.ARRAY, {"element_type": DataType.VARCHAR, "max_length": 6,
                                  "max_capacity": 3}), key=("id", DataType.VARCHAR), dynamic=True)
    fit = ["", "a" * 12, "字字字字", "😀😀😀", "éééééé", "a\0b"]
    good = {"vector": [0, 0, 0, 1], "a": ["字字", ""], "j": {}}
    client.insert(name, [{"id": "k%d" % i, "t": text, **good} for i, text in enumerate(fit)])
    found = query(client, name, "id like 'k%'", output_fields=["t"])
    assert [row["t"] for row in found] == fit
    for row, got, limit in (({"t": "a" * 13}, 13, 12), ({"t": "字" * 5}, 15, 12),
                            ({"t": "😀" * 4}, 16, 12), ({"a": ["x", "字字x"]}, 7, 6),
                            ({"a": ["x"] * 4}, 4, 3), ({"id": "x" * 65}, 65, 64),
                            ({"j": {"k": "x" * 65529}}, 65537, 65536),
                            ({"dyn": "x" * 66000}, "", 65536)):
        for at in (0, 2):
            rows = [{"id": "n%d" % i, "t": "x", **good} for i in range(4)]
            rows[at].update(row)
            with refused(1100, str(limit)) as error:
                client.insert(name, rows)
            assert str(got) in error.value.message
    assert count(client, name) == len(fit)
    client.insert(name, [{"id": "j", "t": "", **good, "j": {"k": "x" * 65528}},
                         {"id": "", "t": "", **good}])
    assert len(row_of(client, name, "j")["j"]["k"]) == 65528
    client.delete(name, filter="id == ''")
    assert query(client, name, "id == ''") == []


def test_deleted_rows_stay_gone_and_come_back_when_written_again(client, name):
    create(client, name, ("n", DataType.INT64), ("m", DataType.JSON), index_type="HNSW",
           key=("id", DataType.VARCHAR))

    def rows(stem, keys):
        return [{"id": "%s%d" % (stem, i), "vector": unit(i), "n": i, "m": {"file": i % 10}}
                for i in keys]

    client.insert(name, rows("c", range(3000)))
    client.delete(name, filter="m['file'] != 7")
    assert count(client, name) == 300
    client.delete(name, filter="id in {p}", filter_params={"p": ["c%d" % i for i in range(3000)]})
    assert count(client, name) == 0
    for nothing in ({"ids": ["no such"] * 50}, {"filter": "n > 10000000"}):
        client.delete(name, **nothing)
    for round in range(10):
        client.delete(name, ids=["again"])
        client.insert(name, [{"id": "again", "vector": unit(1), "n": round, "m": {}}])
        assert [row_of(client, name, "again")["n"]] == [round]
    client.insert(name, rows("k", range(1200)))
    client.flush(name)
    client.delete(name, filter="n % 2 == 0 and id like 'k%'")
    client.insert(name, [{**row, "m": {"new": 1}} for row in rows("k", range(0, 1200, 4))])
    client.delete(name, ids=["k%d" % i for i in range(1, 1200, 4)])

    def look():
        assert count(client, name) == 1 + 300 + 300
        assert count(client, name, "m['new'] == 1") == 300
        assert query(client, name, "id in ['k1', 'k2', 'k5', 'k6']") == []
        hits = search(client, name, unit(5), limit=1000, search_params={"params": {"ef": 1000}})
        assert len(hits) == len({hit["id"] for hit in hits}) == 601

    look()
    client.flush(name)
    look()
    wait_for_compaction(client, name)
    look()
    client.release_collection(name)
    client.load_collection(name)
    look()


def test_schema_changes_fail_no_write_and_no_read(client, connect, name):
    if CLIENT < (2, 6):
        pytest.skip("this client cannot add fields")
    create(client, name, ("n", DataType.INT64), index_type="HNSW")
    done, told, failed = threading.Event(), [[], []], []

    def write(mine, number):
        at = 0
        while not done.is_set():
            keys = [number * 10**6 + at + i for i in range(20)]
            at += 20
            try:
                (mine.upsert if at % 40 else mine.insert)(
                    name, [{"id": i, "vector": unit(i), "n": i % 5} for i in keys])
                told[number] += keys
            except Exception as error:
                # The client tries again with the new schema; two changes are left to the caller.
                if "schema mismatch" not in str(error):
                    failed.append(error)

    def read(mine):
        while not done.is_set():
            try:
                hits = search(mine, name, unit(3), filter="n == 2", output_fields=["*"])
                assert all(hit["entity"]["n"] == 2 for hit in hits)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=write, args=(connect(), i)) for i in range(2)]
    threads.append(threading.Thread(target=read, args=(connect(),)))
    for thread in threads:
        thread.start()
    try:
        for round in range(4):
            client.add_collection_field(name, "x%d" % round, DataType.INT64, nullable=True,
                                        default_value=round)
            client.create_partition(name, "p%d" % round)
            index = client.prepare_index_params()
            index.add_index("n", index_type="STL_SORT" if round % 2 else "BITMAP")
            client.create_index(name, index, sync=False)
            if round == 1:
                client.flush(name)
            client.drop_index(name, "n")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failed == []
    rows = sum(map(len, told))
    assert count(client, name) == rows
    for round in range(4):
        assert count(client, name, "x%d == %d" % (round, round)) == rows


@needs_partial_update
def test_a_row_does_not_grow_past_the_limits_of_an_insert(client, name):
    create(client, name, ("t", DataType.VARCHAR, {"max_length": 100}), dynamic=True)
    client.insert(name, [{"id": 0, "vector": unit(0), "t": "x", "k": 1}])
    with refused(1100, "65536"):
        for part in range(12):
            client.upsert(name, [{"id": 0, "grow%d" % part: "y" * 9000}], partial_update=True)
    row = row_of(client, name, 0)
    assert (row["t"], row["k"]) == ("x", 1)
    assert sum(len(v) for k, v in row.items() if k.startswith("grow")) < 65536


@pytest.mark.skipif(not hasattr(pymilvus, "FieldOp"), reason="no operations on arrays")
def test_operations_on_arrays_keep_their_capacity(client, name):
    array = {"element_type": DataType.INT64, "max_capacity": 5, "nullable": True}
    create(client, name, ("a", DataType.ARRAY, array), ("t", DataType.VARCHAR, {"max_length": 9}))
    client.insert(name, [{"id": i, "vector": unit(i), "a": [1, 2, 3], "t": "x"} for i in (1, 2)])

    def change(op, *rows):
        client.upsert(name, list(rows), partial_update=True, field_ops={"a": op})

    append, remove = pymilvus.FieldOp.array_append, pymilvus.FieldOp.array_remove
    change(append(), {"id": 1, "a": [9]}, {"id": 2, "a": [7, 7]})
    change(append(), {"id": 1, "a": [8]})
    change(append(), {"id": 1, "a": None})
    assert list(row_of(client, name, 1)["a"]) == [1, 2, 3, 9, 8]
    with refused(1100, "5"):
        change(append(), {"id": 1, "a": [5, 5]})
    change(remove(), {"id": 1, "a": [2, 9, 77]})
    row = row_of(client, name, 1)
    assert (list(row["a"]), row["t"]) == ([1, 3, 8], "x")


@needs_partial_update
def test_a_large_batch_of_partial_updates(client, name):
    create(client, name, ("n", DataType.INT64, {"nullable": True}),
           ("t", DataType.VARCHAR, {"max_length": 90}))
    client.insert(name, [{"id": i, "vector": unit(i), "t": "z" * 50} for i in range(5000)])
    client.upsert(name, [{"id": i, "n": i} for i in range(5000)], partial_update=True)
    assert count(client, name, "n >= 0 and t like 'z%'") == 5000
    assert row_of(client, name, 4999)["vector"] == unit(4999)

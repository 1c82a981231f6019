"""Iterators: every row once, in pages, in one version of the data whatever is written meanwhile."""

import warnings

import pytest
from pymilvus import DataType

from helpers import count, create, ids_of, rank, search, unit

ROWS = 250
VECTORS = {i: unit(i, 8) for i in range(ROWS)}


@pytest.fixture(scope="module")
def filled(client, module_name):
    create(client, module_name, ("n", DataType.INT64), dim=8, metric_type="L2")
    rows = [{"id": i, "vector": VECTORS[i], "n": i % 3} for i in range(ROWS)]
    client.insert(module_name, rows[::2])
    client.flush(module_name)
    client.insert(module_name, rows[1::2])
    return module_name


def drain(iterator, meanwhile=lambda page: None):
    """(all rows, sizes of the pages)"""
    rows, sizes = [], []
    while page := iterator.next():
        rows += [row.copy() if hasattr(row, "copy") else row for row in page]
        sizes.append(len(page))
        meanwhile(len(sizes))
    iterator.close()
    return rows, sizes


@pytest.mark.parametrize("batch,limit", [(10, -1), (100, -1), (1000, -1), (100, 120), (7, 20)])
def test_a_query_iterator_gives_every_row_once(client, filled, batch, limit):
    rows, sizes = drain(client.query_iterator(filled, batch_size=batch, limit=limit,
                                              output_fields=["n"]))
    expected = list(range(ROWS if limit < 0 else limit))
    assert ids_of(rows) == expected
    assert all(row["n"] == row["id"] % 3 for row in rows)
    assert max(sizes) == min(batch, len(expected))


def test_a_query_iterator_with_a_filter(client, filled):
    rows, _ = drain(client.query_iterator(filled, filter="n == 1 or id < 10", batch_size=9,
                                          output_fields=["id"]))
    assert ids_of(rows) == [i for i in range(ROWS) if i % 3 == 1 or i < 10]


def test_a_query_iterator_needs_no_warning(client, filled, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        iterator = client.query_iterator(filled, batch_size=10, output_fields=["id"])
    iterator.close()
    # The client warns when a reply carries no session_ts.
    assert not [record for record in caplog.records if "session" in record.getMessage().lower()]


@pytest.mark.parametrize("batch,limit", [(10, 100), (64, -1), (100, 250), (7, 20)])
def test_a_search_iterator_goes_on_where_it_stopped(client, filled, batch, limit):
    iterator = client.search_iterator(filled, data=[VECTORS[3]], batch_size=batch, limit=limit,
                                      output_fields=["n"], search_params={"metric_type": "L2"})
    rows, _ = drain(iterator)
    wanted = ROWS if limit < 0 else limit
    ranked = rank("L2", VECTORS[3], VECTORS)[:wanted]
    distances = [row["distance"] for row in rows]
    assert distances == pytest.approx([s for _, s in ranked], rel=1e-5, abs=1e-6)
    assert len(set(ids_of(rows))) == wanted
    assert distances == sorted(distances)


def test_a_search_iterator_with_a_filter(client, filled):
    iterator = client.search_iterator(filled, data=[VECTORS[3]], batch_size=10, limit=50,
                                      filter="n == 2", search_params={"metric_type": "L2"})
    rows, _ = drain(iterator)
    expected = rank("L2", VECTORS[3], {i: v for i, v in VECTORS.items() if i % 3 == 2})[:50]
    distances = [row["distance"] for row in rows]
    assert distances == pytest.approx([s for _, s in expected], rel=1e-5, abs=1e-6)
    assert all(row["id"] % 3 == 2 for row in rows)


@pytest.mark.parametrize("index_type", ["FLAT", "HNSW", "IVF_FLAT"])
@pytest.mark.parametrize("metric", ["L2", "IP", "COSINE"])
def test_a_search_iterator_reaches_the_last_row(client, name, metric, index_type):
    create(client, name, dim=8, metric_type=metric, index_type=index_type)
    vectors = {i: [x + i / 4096 for x in unit(i, 8)] for i in range(1300)}
    client.insert(name, [{"id": i, "vector": vector} for i, vector in vectors.items()])
    client.flush(name)
    iterator = client.search_iterator(name, data=[VECTORS[0]], batch_size=200,
                                      search_params={"metric_type": metric})
    rows, _ = drain(iterator)
    assert len(rows) == len(set(ids_of(rows)))
    # HNSW may miss a row or two; the others may not.
    assert len(rows) >= (1290 if index_type == "HNSW" else 1300)
    distances = [row["distance"] for row in rows]
    assert distances == sorted(distances, reverse=metric != "L2")


@pytest.mark.parametrize("batch", [1, 7, 10, 50])
def test_equal_distances_are_neither_lost_nor_repeated(client, name, batch):
    create(client, name, dim=8)
    client.insert(name, [{"id": i, "vector": VECTORS[i // 12]} for i in range(60)])
    iterator = client.search_iterator(name, data=[VECTORS[0]], batch_size=batch,
                                      search_params={"metric_type": "L2"})
    rows, _ = drain(iterator)
    assert sorted(ids_of(rows)) == list(range(60))


def test_a_search_iterator_within_a_range(client, filled):
    ranked = rank("L2", VECTORS[3], VECTORS)
    inner, outer = (ranked[9][1] + ranked[10][1]) / 2, (ranked[99][1] + ranked[100][1]) / 2
    iterator = client.search_iterator(
        filled, data=[VECTORS[3]], batch_size=20,
        search_params={"metric_type": "L2", "params": {"radius": outer, "range_filter": inner}})
    rows, _ = drain(iterator)
    assert sorted(ids_of(rows)) == sorted(key for key, _ in ranked[10:100])


@pytest.fixture
def changing(client, name):
    create(client, name, dim=8)
    client.insert(name, [{"id": i, "vector": VECTORS[i]} for i in range(100)])
    return name


def test_a_query_iterator_sees_one_version(client, connect, changing):
    writer = connect()

    def write(page):
        writer.insert(changing, [{"id": 1000 + page, "vector": unit(page, 8)}])
        writer.delete(changing, ids=[99 - page])
        writer.upsert(changing, [{"id": 50, "vector": unit(900 + page, 8)}])
        if page == 3:
            writer.flush(changing)

    iterator = client.query_iterator(changing, batch_size=10, output_fields=["vector"])
    rows, _ = drain(iterator, write)
    assert ids_of(rows) == list(range(100))
    assert [float(x) for x in rows[50]["vector"]] == VECTORS[50]
    assert count(client, changing) == 100


def test_a_search_iterator_sees_one_version(client, connect, changing):
    writer = connect()
    before = {hit["id"] for hit in search(client, changing, VECTORS[0], limit=100)}

    def write(page):
        writer.insert(changing, [{"id": 1000 + page, "vector": VECTORS[0]}])
        writer.delete(changing, ids=[99 - page])

    iterator = client.search_iterator(changing, data=[VECTORS[0]], batch_size=10, limit=100,
                                      search_params={"metric_type": "L2"})
    rows, _ = drain(iterator, write)
    assert {row["id"] for row in rows} == before
    assert len(rows) == 100


def test_iterators_on_nothing(client, name):
    create(client, name, dim=8)
    assert drain(client.query_iterator(name, batch_size=10, output_fields=["id"]))[0] == []
    iterator = client.search_iterator(name, data=[VECTORS[0]], batch_size=10, limit=10,
                                      search_params={"metric_type": "L2"})
    assert drain(iterator)[0] == []


def test_iterators_go_in_the_order_of_varchar_keys(client, name):
    create(client, name, key=("id", DataType.VARCHAR), dim=8)
    keys = ["k%03d" % i for i in range(50)] + ["q'uote", 'q"uote', "é"]
    client.insert(name, [{"id": key, "vector": unit(i, 8)} for i, key in enumerate(keys)])
    rows, _ = drain(client.query_iterator(name, batch_size=10, output_fields=["id"]))
    assert ids_of(rows) == sorted(keys, key=lambda key: key.encode())

"""Query and get: filters, output fields, limit, offset, order, count, templates."""

import pytest
from pymilvus import DataType

from helpers import count, create, keys_of, query, refused, unit

ROWS = 100


@pytest.fixture(scope="module")
def filled(client, module_name):
    """100 rows, half of them flushed, so that both kinds of segments are read."""
    create(
        client,
        module_name,
        ("n", DataType.INT32),
        ("price", DataType.FLOAT),
        ("text", DataType.VARCHAR, {"max_length": 64}),
        ("ok", DataType.BOOL),
        ("doc", DataType.JSON),
        ("tags", DataType.ARRAY,
         {"element_type": DataType.VARCHAR, "max_capacity": 8, "max_length": 16}),
        ("maybe", DataType.INT64, {"nullable": True}),
        dynamic=True,
    )
    rows = [make_row(i) for i in range(ROWS)]
    client.insert(module_name, rows[1::2])
    client.flush(module_name)
    client.insert(module_name, rows[0::2])
    return module_name


def make_row(i):
    return {
        "id": i,
        "vector": unit(i),
        "n": i % 10,
        "price": i / 4,
        "text": "%s-%03d" % ("even" if i % 2 == 0 else "odd", i),
        "ok": i % 3 == 0,
        "doc": {"n": i, "nested": {"s": "s%d" % i}, "list": [i, i + 1],
                **({"rare": 1} if i < 5 else {})},
        "tags": ["t%d" % (i % 4), "t%d" % (i % 6)],
        "maybe": i if i % 5 == 0 else None,
        "colour": "red" if i < 50 else "blue",
        "size": i,
    }


FILTERS = {
    "n == 3": lambda r: r["n"] == 3,
    "n != 3": lambda r: r["n"] != 3,
    "id > 90": lambda r: r["id"] > 90,
    "10 <= id < 20": lambda r: 10 <= r["id"] < 20,
    "id in [1, 5, 1000]": lambda r: r["id"] in (1, 5),
    "id not in [1, 5]": lambda r: r["id"] not in (1, 5),
    "n == 3 and ok == true": lambda r: r["n"] == 3 and r["ok"],
    "n == 3 AND ok == true": lambda r: r["n"] == 3 and r["ok"],
    "n == 3 && ok == TRUE": lambda r: r["n"] == 3 and r["ok"],
    "n == 3 or id < 5": lambda r: r["n"] == 3 or r["id"] < 5,
    "n == 3 OR id < 5": lambda r: r["n"] == 3 or r["id"] < 5,
    "n == 3 || id < 5": lambda r: r["n"] == 3 or r["id"] < 5,
    "not (n == 3)": lambda r: r["n"] != 3,
    "NOT (n == 3)": lambda r: r["n"] != 3,
    "!(n == 3)": lambda r: r["n"] != 3,
    "n IN [1, 2]": lambda r: r["n"] in (1, 2),
    "n NOT IN [1, 2]": lambda r: r["n"] not in (1, 2),
    "price > 10.5": lambda r: r["price"] > 10.5,
    "price + 1 > 10.5": lambda r: r["price"] + 1 > 10.5,
    "id % 7 == 3": lambda r: r["id"] % 7 == 3,
    "n * 2 == 8": lambda r: r["n"] * 2 == 8,
    "text == 'odd-001'": lambda r: r["text"] == "odd-001",
    'text == "odd-001"': lambda r: r["text"] == "odd-001",
    "text like 'even%'": lambda r: r["text"].startswith("even"),
    "text LIKE '%9'": lambda r: r["text"].endswith("9"),
    "text like '%-05%'": lambda r: "-05" in r["text"],
    "text like 'odd-0_1'": lambda r: r["text"][:5] == "odd-0" and r["text"][6] == "1",
    "text =~ '-0[5-7]'": lambda r: "-05" <= r["text"][-4:-1] <= "-07",
    "text =~ '^(?i)EVEN'": lambda r: r["text"].startswith("even"),
    "text !~ '[13579]$'": lambda r: r["id"] % 2 == 0,
    "not text =~ r'\\d\\d\\d'": lambda r: False,
    "doc['nested']['s'] =~ '^s1.$'": lambda r: 10 <= r["id"] < 20,
    "doc['rare'] !~ '1'": lambda r: True,
    "colour =~ 'r.d|green'": lambda r: r["colour"] == "red",
    "tags[0] =~ '[0-1]'": lambda r: r["id"] % 4 < 2,
    "text > 'odd-050'": lambda r: r["text"] > "odd-050",
    "ok == true": lambda r: r["ok"],
    "ok == False": lambda r: not r["ok"],
    "doc['n'] < 5": lambda r: r["doc"]["n"] < 5,
    "doc['nested']['s'] == 's7'": lambda r: r["id"] == 7,
    "doc['nested']['s'] in ['s7', 's8']": lambda r: r["id"] in (7, 8),
    "doc['list'][1] == 8": lambda r: r["id"] == 7,
    "doc['nope'] == 1": lambda r: False,
    "exists doc['rare']": lambda r: r["id"] < 5,
    "EXISTS doc['rare']": lambda r: r["id"] < 5,
    "json_contains(doc['list'], 7)": lambda r: r["id"] in (6, 7),
    "JSON_CONTAINS(doc['list'], 7)": lambda r: r["id"] in (6, 7),
    "json_contains_any(doc['list'], [7, 50])": lambda r: r["id"] in (6, 7, 49, 50),
    "json_contains_all(doc['list'], [7, 8])": lambda r: r["id"] == 7,
    "array_contains(tags, 't5')": lambda r: "t5" in r["tags"],
    "ARRAY_CONTAINS(tags, 't5')": lambda r: "t5" in r["tags"],
    "Array_Contains(tags, 't5')": lambda r: "t5" in r["tags"],
    "array_contains_any(tags, ['t4', 't5'])": lambda r: {"t4", "t5"} & set(r["tags"]),
    "array_contains_all(tags, ['t0', 't2'])": lambda r: {"t0", "t2"} <= set(r["tags"]),
    "array_length(tags) == 2": lambda r: True,
    "tags[0] == 't3'": lambda r: r["tags"][0] == "t3",
    "maybe is null": lambda r: r["maybe"] is None,
    "maybe IS NOT NULL": lambda r: r["maybe"] is not None,
    "maybe > 50": lambda r: r["maybe"] is not None and r["maybe"] > 50,
    "colour == 'red'": lambda r: r["colour"] == "red",
    "$meta['colour'] == 'red'": lambda r: r["colour"] == "red",
    "size >= 95": lambda r: r["size"] >= 95,
    "size % 10 == 3": lambda r: r["size"] % 10 == 3,
    "colour in ['blue'] and size < 55": lambda r: 50 <= r["id"] < 55,
    "absent == 1": lambda r: False,
    "n == 3 and price > 10 or ok == true and n == 6":
        lambda r: r["n"] == 3 and r["price"] > 10 or r["ok"] and r["n"] == 6,
}


@pytest.mark.parametrize("filter", FILTERS)
def test_filters(client, filled, filter):
    expected = [i for i in range(ROWS) if FILTERS[filter](make_row(i))]
    assert [row["id"] for row in query(client, filled, filter)] == expected
    assert count(client, filled, filter) == len(expected)
    hits = client.search(filled, data=[unit(0)], limit=ROWS, filter=filter)[0]
    assert keys_of(hits) == expected


BROKEN = ["n == 3 and ok", "ok", "n ==", "n = 3", "nope ==", "(n == 3", "n == 3)", "n == 'x'",
          "text == 3", "n like 'x'", "n =~ 'x'", "text =~ '('",
          "id in 3", "ok + 1 == 2", "n == 3 n == 4", "n in ['a']", "'unclosed", "unknown_fn(n)",
          "array_length(n) == 1", "vector == 1"]


@pytest.mark.parametrize("filter", BROKEN)
def test_broken_filters_are_refused(client, filled, filter):
    with refused(1100, "failed to create query plan"):
        client.query(filled, filter=filter)
    with refused(1100, "failed to create query plan"):
        client.search(filled, data=[unit(0)], limit=1, filter=filter)


TEMPLATES = [
    ("n == {x}", {"x": 3}, "n == 3"),
    ("id in {ids}", {"ids": [1, 2, 3]}, "id in [1, 2, 3]"),
    ("text == {t}", {"t": "odd-001"}, "text == 'odd-001'"),
    ("text in {t}", {"t": ["odd-001", "x"]}, "text in ['odd-001']"),
    ("price > {p}", {"p": 10.5}, "price > 10.5"),
    ("ok == {b}", {"b": True}, "ok == true"),
    ("text like {p}", {"p": "even%"}, "text like 'even%'"),
    ("text =~ {p}", {"p": "^e.en"}, "text like 'even%'"),
    ("doc['n'] < {x} and n == {y}", {"x": 50, "y": 4}, "doc['n'] < 50 and n == 4"),
    ("array_contains(tags, {t})", {"t": "t5"}, "array_contains(tags, 't5')"),
    ("{lo} < id < {hi}", {"lo": 5, "hi": 9}, "5 < id < 9"),
]


@pytest.mark.parametrize("filter,params,plain", TEMPLATES)
def test_templates_mean_the_same_as_literals(client, filled, filter, params, plain):
    expected = keys_of(query(client, filled, plain))
    assert expected
    assert keys_of(query(client, filled, filter, filter_params=params)) == expected
    hits = client.search(filled, data=[unit(0)], limit=ROWS, filter=filter, filter_params=params)[0]
    assert keys_of(hits) == expected


def test_a_missing_template_value_is_an_error(client, filled):
    with refused(1100, "template"):
        client.query(filled, filter="n == {x}", filter_params={"y": 1})


@pytest.mark.parametrize("filter", ["", None])
def test_no_filter_needs_a_limit(client, filled, filter):
    if filter is not None:
        with refused((1100, 1, 65535), "limit"):
            client.query(filled, filter=filter, output_fields=["id"])
    rows = client.query(filled, filter=filter or "", limit=7, output_fields=["id"])
    assert [row["id"] for row in rows] == list(range(7))


@pytest.mark.parametrize("limit,offset", [(1, 0), (10, 0), (10, 5), (10, 95), (10, 100),
                                          (16384, 0)])
def test_limit_and_offset_go_in_the_order_of_keys(client, filled, limit, offset):
    rows = query(client, filled, "id >= 0", limit=limit, offset=offset, output_fields=["id"])
    assert [row["id"] for row in rows] == list(range(ROWS))[offset:offset + limit]


def test_a_window_that_is_too_large_is_refused(client, filled):
    with refused((1100, 65535, 1), "16384"):
        client.query(filled, filter="id >= 0", limit=16385)
    with refused((1100, 65535, 1), "16384"):
        client.query(filled, filter="id >= 0", limit=10, offset=16380)


def test_count_and_limit_do_not_go_together(client, filled):
    with refused(1100, "count entities with pagination"):
        client.query(filled, filter="id >= 0", limit=1, output_fields=["count(*)"])


ALL_FIELDS = {"id", "vector", "n", "price", "text", "ok", "doc", "tags", "maybe"}


@pytest.mark.parametrize("wanted,keys", [
    (["id"], {"id"}),
    (["n"], {"id", "n"}),
    (["n", "n", "text"], {"id", "n", "text"}),
    (["vector"], {"id", "vector"}),
    (["colour"], {"id", "colour"}),
    (["colour", "n"], {"id", "colour", "n"}),
    (["absent"], {"id"}),
    (["*"], ALL_FIELDS | {"colour", "size"}),
    (["$meta"], {"id", "colour", "size"}),
    (["*", "colour"], ALL_FIELDS | {"colour", "size"}),
])
def test_output_fields(client, filled, wanted, keys):
    row = query(client, filled, "id == 7", output_fields=wanted)[0]
    assert set(row) - {"$meta"} == keys
    full = make_row(7)
    for key in keys - {"vector"}:
        assert row[key] == full[key]


def test_meta_is_not_returned_unasked(client, filled):
    for wanted in (["n"], ["id", "text"]):
        row = query(client, filled, "id == 7", output_fields=wanted)[0]
        assert not {"$meta", "colour", "size"} & set(row)
    hit = client.search(filled, data=[unit(7)], limit=1, output_fields=["n"])[0][0]
    assert dict(hit["entity"]) == {"n": 7}


def test_get(client, filled):
    rows = client.get(filled, ids=[5, 3, 1000], output_fields=["n"])
    assert list(rows) == [{"id": 3, "n": 3}, {"id": 5, "n": 5}]
    assert list(client.get(filled, ids=9, output_fields=["text"])) == [{"id": 9, "text": "odd-009"}]
    assert list(client.get(filled, ids=[])) == []
    # All that there is, when nothing is named.
    assert set(client.get(filled, ids=[9])[0]) >= ALL_FIELDS


def test_json_values_come_back_whole(client, filled):
    row = query(client, filled, "id == 7", output_fields=["doc", "tags", "maybe"])[0]
    assert row == {"id": 7, "doc": make_row(7)["doc"], "tags": make_row(7)["tags"], "maybe": None}

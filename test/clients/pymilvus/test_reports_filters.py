"""Filters that users of Milvus and of its rivals reported as answered wrongly.

Each is looked at twice, over growing rows and over written ones, where it is not said otherwise.
"""

import re

import pytest
from pymilvus import DataType

from helpers import create, keys_of, query, refused, search


def look_twice(client, name, look):
    look()
    client.flush(name)
    look()


def find(client, name, filter, **options):
    return keys_of(query(client, name, filter, output_fields=["id"], limit=1000, **options))


def quote(text, mark):
    for letter in "\\" + mark:
        text = text.replace(letter, "\\" + letter)
    for letter, written in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(letter, written)
    return mark + text + mark


TEXTS = ["", " ", "'", '"', "\\", "C:\\tmp\\", '\\"', "it's \"two\"", "a\nb", "a\tb\r", "a\0b", "é",
         "e\u0301", "日本", "👍🏽", "%", "_", "100%_\\", "{x}", "$meta", "null", "\ufeffx", "\\n",
         "\\u0041", "A", "' or id > 0 or text == '", "x" * 5000]


def test_any_text_can_be_written_in_a_filter(client, name):
    create(client, name, ("text", DataType.VARCHAR, {"max_length": 9000}))
    client.insert(name, [{"id": i, "vector": [0, 0, 0, i], "text": t} for i, t in enumerate(TEXTS)])

    def look():
        for i, text in enumerate(TEXTS):
            for mark in "'\"":
                assert find(client, name, "text == %s" % quote(text, mark)) == [i], text
            assert find(client, name, "text in [%s, 'zz']" % quote(text, '"')) == [i], text
            assert find(client, name, "text == {t}", filter_params={"t": text}) == [i], text
        assert find(client, name, "text in {t}", filter_params={"t": TEXTS}) == keys_of(
            query(client, name, "id >= 0"))

    look_twice(client, name, look)
    for broken in ('text == "a\\"', "text == 'it's'", 'text == "', 'text == "a" "b"'):
        with refused(1100, "error: line 1:"):
            find(client, name, broken)


@pytest.mark.parametrize("filter, place", [
    ('text == "a\\q"', "line 1:10"), ("text in ['ok', '50\\%']", "line 1:18"),
    ('text like "a\\d"', "line 1:12"), ('text == "\\x4"', "line 1:9"),
])
def test_an_unknown_escape_is_refused_and_its_place_named(client, name, filter, place):
    create(client, name, ("text", DataType.VARCHAR, {"max_length": 90}))
    with refused(1100, place):
        find(client, name, filter)
    assert find(client, name, 'text like "50\\%" or text =~ "\\d" or text == r"a\\q"') == []


def no(value):
    return None if value is None else not value


def both(*values):
    return False if False in values else None if None in values else True


def either(*values):
    return True if True in values else None if None in values else False


def known(value, test):
    return None if value is None else test(value)


LOGIC = [
    ("not (b == true and n == 1)",
     lambda r: no(both(r["b"], known(r["n"], lambda n: n == 1)))),
    ("not (not (b is null))", lambda r: r["b"] is None),
    ("not ((b == true) and (b is not null) and (n == 9 or n == 1))",
     lambda r: no(both(r["b"], r["b"] is not None, known(r["n"], lambda n: n in (1, 9))))),
    ("n in [1, 9] or n != 1", lambda r: known(r["n"], lambda n: True)),
    ("n not in [1]", lambda r: known(r["n"], lambda n: n != 1)),
    ("n == 1 or n != 1 or b == true", lambda r: either(known(r["n"], lambda n: True), r["b"])),
    ("not (t like 'x%') or t is null", lambda r: r["t"] != "xa"),
    ("not (t == 'xa' or b == false)",
     lambda r: no(either(known(r["t"], lambda t: t == "xa"), no(r["b"])))),
    ("n + 1 > 0 and not (t == 'yb')",
     lambda r: both(known(r["n"], lambda n: True), known(r["t"], lambda t: t != "yb"))),
    ("not (0 < n < 5)", lambda r: known(r["n"], lambda n: not 0 < n < 5)),
    ("j['k'] == 1 or (b == true and not (b == true))",
     lambda r: either((r["j"] or {}).get("k") == 1, both(r["b"], no(r["b"])))),
    ("j is null or (n is null and t is null)",
     lambda r: r["j"] is None or (r["n"] is None and r["t"] is None)),
]
NULLABLE = (
    ("b", DataType.BOOL, {"nullable": True}), ("n", DataType.INT64, {"nullable": True}),
    ("t", DataType.VARCHAR, {"nullable": True, "max_length": 9}),
    ("j", DataType.JSON, {"nullable": True}),
)
NULL_ROWS = [{"b": b, "n": n, "t": t, "j": j} for b in (None, True, False) for n in (None, 1, 9)
             for t in (None, "xa", "yb") for j in (None, {"k": 1}, {"k": None})]


def test_nullable_fields_follow_the_logic_of_sql(client, name):
    create(client, name, *NULLABLE)
    rows = [{"id": i, "vector": [i, 0, 0, 1], **row} for i, row in enumerate(NULL_ROWS)]
    client.insert(name, rows)

    def look():
        for filter, truth in LOGIC:
            expected = [i for i, row in enumerate(NULL_ROWS) if truth(row) is True]
            assert find(client, name, filter) == expected, filter
            hits = search(client, name, [0, 0, 0, 1], filter=filter, limit=200)
            assert sorted(hit["id"] for hit in hits) == expected, filter

    look_twice(client, name, look)
    for field in ("b", "n", "t"):
        index = client.prepare_index_params()
        index.add_index(field, index_type="INVERTED")
        client.create_index(name, index, sync=False)
    look()


def test_a_null_row_alone_follows_the_same_logic(client, name):
    create(client, name, *NULLABLE)
    for row in NULL_ROWS[::13]:
        client.upsert(name, [{"id": 0, "vector": [0, 0, 0, 1], **row}])
        for filter, truth in LOGIC:
            assert find(client, name, filter) == ([0] if truth(row) is True else []), (filter, row)


def test_exists_and_is_null_on_paths_are_opposites(client, name):
    create(client, name, ("j", DataType.JSON, {"nullable": True}), dynamic=True)
    docs = {1: {"k": 1}, 2: {"x": 1}, 3: {"k": None}, 4: None, 5: {"k": "s", "n": {"m": 0}},
            6: {"n": {"m": None}}, 7: {"n": 3}}
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], "j": doc, **(doc or {})}
                         for i, doc in docs.items()])

    def look():
        for path, there in (("j['k']", [1, 5]), ("j['n']['m']", [5]), ("k", [1, 5]),
                            ("$meta['k']", [1, 5]), ("j['no']", [])):
            absent = [i for i in docs if i not in there]
            for positive in ("exists %s", "EXISTS %s", "%s is not null", "not (%s is null)"):
                assert find(client, name, positive % path) == there, positive % path
            for negative in ("not exists %s", "%s is null", "%s IS NULL"):
                assert find(client, name, negative % path) == absent, negative % path
        assert find(client, name, "j is null") == [4]
        assert find(client, name, "j is not null and not exists j['k']") == [2, 3, 6, 7]

    look_twice(client, name, look)


INTEGERS = [2**63 - 1, -2**63, 2**53 + 1, 2**53, 0, 10, 20, 99]


def test_a_template_means_its_value(client, name):
    create(client, name, ("n", DataType.INT64, {"nullable": True}), ("d", DataType.DOUBLE),
           ("t", DataType.VARCHAR, {"max_length": 90}), ("j", DataType.JSON),
           ("a", DataType.ARRAY, {"element_type": DataType.INT64, "max_capacity": 9}))
    client.insert(name, [
        {"id": i, "vector": [i, 0, 0, 1], "n": n, "d": i / 10, "t": "r%d%%" % i,
         "j": {"k": n, "l": [i, str(i)]}, "a": [i, i + 1]}
        for i, n in enumerate(INTEGERS + [None])])
    written = [
        ("not (n in {p})", "not (n in [10, 20])", {"p": [10, 20]}),
        ("not (n > {p})", "not (n > 15)", {"p": 15}),
        ("not (t == {p} or d == {q})", "not (t == 'r1%' or d == 0.3)", {"p": "r1%", "q": 0.3}),
        ("{lo} < n <= {hi}", "9 < n <= 20", {"lo": 9, "hi": 20}),
        ("n % {p} == {q}", "n % 10 == 0", {"p": 10, "q": 0}),
        ("json_contains(j['l'], {p})", "json_contains(j['l'], 3)", {"p": 3}),
        ("array_contains_all(a, {p})", "array_contains_all(a, [])", {"p": []}),
        ("array_contains(a, {p}) and d >= {q}", "array_contains(a, 4) and d >= 0.3",
         {"p": 4, "q": 0.3}),
        ("j['k'] == {p}", "j['k'] == 9007199254740993", {"p": 2**53 + 1}),
        ("a == {p}", "a == [3, 4]", {"p": [3, 4]}),
        ("t like {p}", "t like 'r1%'", {"p": "r1%"}),
    ]
    empty = [("n in {p}", []), ("t in {p}", []), ("n not in {p}", list(range(8))),
             ("array_contains_any(a, {p})", []), ("not (id in {p})", list(range(9))),
             ("id > 6 or n in {p}", [7, 8])]

    def look():
        for filter, plain, params in written:
            expected = find(client, name, plain)
            assert find(client, name, filter, filter_params=params) == expected, filter
        for filter, expected in empty:
            assert find(client, name, filter, filter_params={"p": []}) == expected, filter
        for i, n in enumerate(INTEGERS):
            assert find(client, name, "n == {p}", filter_params={"p": n}) == [i]
            assert find(client, name, "n in {p}", filter_params={"p": [n, n]}) == [i]
        attack = "x' or id > 0 or t == '"
        assert find(client, name, "t == {p}", filter_params={"p": attack}) == []

    look_twice(client, name, look)
    for filter, params in (("n == {p}", {"q": 1}), ("n in {p}", {"p": 5}),
                           ("n == {p}", {"p": "x"})):
        with refused(1100):
            find(client, name, filter, filter_params=params)
    many = list(range(-20_000, 20_000))
    assert find(client, name, "n in {p}", filter_params={"p": many}) == [4, 5, 6, 7]


def test_arrays_short_and_empty(client, name):
    create(client, name, ("j", DataType.JSON), ("a", DataType.ARRAY, {
        "element_type": DataType.INT16, "max_capacity": 50, "nullable": True}))
    deep, path = {"end": 1}, ""
    for level in range(60):
        deep, path = {"l%d" % level: deep}, "['l%d']" % level + path
    arrays = [[1, 2], [], None, [5], [1, 2, 3, 4, 5, 6, 7], [0]]
    docs = [{"x": [1, 2]}, {}, {"x": []}, [1, 2, 3], deep, {"x": "none"}]
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], "a": a, "j": j}
                         for i, (a, j) in enumerate(zip(arrays, docs))])
    expected = {
        "array_contains_any(a, [])": [],
        "array_contains_any(a, []) or array_contains(a, 5)": [3, 4],
        "array_length(a) == 99 or json_contains_any(j['x'], [])": [], "array_length(a) == 0": [1],
        "a[0] == 1": [0, 4], "a[6] == 7": [4], "a[40] == 7": [], "a[0] != 1": [3, 5],
        "a == []": [1], "a is null": [2], "a == [1, 2]": [0], "array_contains(a, 70000)": [],
        "array_contains_all(a, [1, 2])": [0, 4], "array_contains_any(a, [0, 5, 40000])": [3, 4, 5],
        "j['x'][0] == 1": [0], "j['x'][5] == 1": [], "json_contains(j, 2)": [3],
        "array_length(j['x']) == 2": [0], "j%s['end'] == 1" % path: [4], "exists j%s" % path: [4],
        "not array_contains(a, 1)": [1, 3, 5],
    }

    def look():
        for filter, ids in expected.items():
            assert find(client, name, filter) == ids, filter

    look_twice(client, name, look)
    index = client.prepare_index_params()
    index.add_index("a", index_type="INVERTED")
    client.create_index(name, index, sync=False)
    look()
    for wrong in ("a[-1] == 1", "array_length(id) == 1", "array_contains(a, 'x')", "a > [1]"):
        with refused(1100):
            find(client, name, wrong)


def test_a_decimal_constant_finds_the_value_that_was_written(client, name):
    values = [0.1, 0.2, 1.0, 1000.0, -0.0, 1.1754944e-38, 25.7]
    create(client, name, ("f", DataType.FLOAT), ("d", DataType.DOUBLE), ("j", DataType.JSON),
           ("fs", DataType.ARRAY, {"element_type": DataType.FLOAT, "max_capacity": 4}))
    client.insert(name, [
        {"id": i, "vector": [i, 0, 0, 1], "f": x, "d": x, "fs": [x],
         "j": {"x": int(x) if x == int(x) and i % 2 else x}} for i, x in enumerate(values)])

    def look():
        for i, x in enumerate(values):
            written = repr(x)
            for filter in ("f == %s", "d in [%s, 77]", "%s == f", "array_contains(fs, %s)",
                           "fs[0] == %s", "j['x'] == %s", "j['x'] in [%s]"):
                assert find(client, name, filter % written) == [i], filter % written
            for filter in ("f > %s", "f < %s", "d != %s", "f not in [%s]"):
                assert i not in find(client, name, filter % written), filter % written
            assert i in find(client, name, "%s <= f <= %s" % (written, written))
            for field in "fd":
                assert i in find(client, name, field + " == {p}", filter_params={"p": x})
        assert find(client, name, "f == 1") == find(client, name, "j['x'] == 1") == [2]

    look_twice(client, name, look)
    for field, kind in (("f", "STL_SORT"), ("d", "INVERTED")):
        index = client.prepare_index_params()
        index.add_index(field, index_type=kind)
        client.create_index(name, index, sync=False)
    look()


LIKE_TEXTS = ["# preface", "# preface\n", "a\nb\nc", "\n", "7_2", "772", "7%", "abc%def",
              "abc\\def", "abcdef", "a.c", "abc", "(x)", "[a-z]", "^$", "a tractor", "日本語", "😀😀",
              "e\u0301", "", "a" * 500, "a" * 28 + "b", "C:\\dir\\f_1"]
LIKE_PATTERNS = ["# preface%", "# preface_", "a%c", "%b%", "%\n%", "_", "7\\_%", "7_%", "%\\%",
                 "abc\\%%", "abc\\\\%", "a.c", "a_c", "(x)", "[a-z]", "^$", "%%", "", "日_語", "😀_",
                 "_\u0301", "%tractor%", "a%a%a%a%a%a%a%b", "C:\\\\dir\\\\f\\_1", "%a%b%c%d%"]


def is_like(pattern, text):
    """A slow twin: goes over the pattern with all places of the text that may have been reached."""
    places = {0}
    for part in re.findall(r"\\.|.", pattern, re.S):
        if part == "%":
            places = set(range(min(places, default=len(text) + 1), len(text) + 1))
        else:
            places = {at + 1 for at in places if at < len(text)
                      and (part == "_" or text[at] == part[-1])}
    return len(text) in places


def test_like_means_the_same_with_and_without_an_index(client, name):
    create(client, name, ("t", DataType.VARCHAR, {"max_length": 900}), ("j", DataType.JSON))
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], "t": t, "j": {"t": t}}
                         for i, t in enumerate(LIKE_TEXTS)])

    def look():
        for pattern in LIKE_PATTERNS:
            expected = [i for i, text in enumerate(LIKE_TEXTS) if is_like(pattern, text)]
            for path in ("t", "j['t']"):
                filter = "%s like %s" % (path, quote(pattern, '"'))
                assert find(client, name, filter) == expected, filter
            others = [i for i in range(len(LIKE_TEXTS)) if i not in expected]
            assert find(client, name, "not (t LIKE %s)" % quote(pattern, "'")) == others

    look_twice(client, name, look)
    index = client.prepare_index_params()
    index.add_index("t", index_type="INVERTED")
    client.create_index(name, index, sync=False)
    look()


KEYS = ["a-b", "a.b", "a b", "日本", "it's", 'say "x"', "back\\slash", "[0]", "{x}", " ", "in", "and",
        "null", "count(*)", "*", "%", "1", "_", "x" * 300, "__proto__", "constructor", "distance",
        "entity", "new\nline"]


def test_dynamic_keys_may_have_any_name(client, name):
    create(client, name, ("n", DataType.INT64, {"nullable": True}), dynamic=True)
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], key: "v%d" % i}
                         for i, key in enumerate(KEYS)])

    def look():
        for i, key in enumerate(KEYS):
            row = query(client, name, "id == %d" % i, output_fields=["*"])[0]
            assert row[key] == "v%d" % i
            path = "$meta[%s]" % quote(key, '"')
            for filter in ("%s == 'v%d'" % (path, i), "exists " + path,
                           "%s like 'v%%' and id == %d" % (path, i)):
                assert find(client, name, filter) == [i], filter

    look_twice(client, name, look)
    client.insert(name, [{"id": 500, "vector": [1, 1, 1, 1], "k": {"deep": [1, {"x": "y"}]},
                          "l": [1, "2"], "z": None}])
    row = query(client, name, "id == 500", output_fields=["*"])[0]
    assert (row["k"], row["l"], row["z"]) == ({"deep": [1, {"x": "y"}]}, [1, "2"], None)
    assert find(client, name, "k['deep'][1]['x'] == 'y' and json_contains(l, '2')") == [500]
    hit = search(client, name, [21, 0, 0, 1], filter="id == 21", output_fields=["*"])[0]
    assert (hit["id"], hit["entity"]["distance"]) == (21, "v21")


def test_the_root_of_a_json_field_is_a_value(client, name):
    create(client, name, ("j", DataType.JSON))
    # Clients take a string for JSON text.
    values = [1, 2, 2.5, '"abc"', '"abd"', [2], True, {"a": 2}]
    client.insert(name, [{"id": i, "vector": [i, 0, 0, 1], "j": j} for i, j in enumerate(values)])
    expected = {"j == 2": [1], "j in [1, 2.5, 'abc']": [0, 2, 3], "1 < j < 3": [1, 2],
                "j + 1 == 3": [1], "j % 2 == 0": [1], "j like 'ab%'": [3, 4], "j =~ '^a.d$'": [4],
                "j > 'abc'": [4], "json_contains(j, 2)": [5], "j['a'] == 2": [7]}

    def look():
        for filter, ids in expected.items():
            assert find(client, name, filter) == ids, filter

    look_twice(client, name, look)


RIGHT = {
    "n IN [1, 2]": [1, 2], "n NOT IN [1, 2] AND n < 4": [0, 3], "t LIKE 's1%'": [1],
    "t IS NULL": [0], "NOT (n > 1)": [0, 1], "b == True && n < 3": [0, 2],
    "b == FALSE and n<3": [1],
    "EXISTS j['k'] and n == 1": [1], "JSON_CONTAINS(j['k'], 1) or n == 2": [1, 2],
    "Array_Length(a) == 1 and n==0": [0], "!(n > 1)": [0, 1], "n==1||n==2": [1, 2],
    "4>n>1": [2, 3], "1 == n": [1], "  n\t==\n1 ": [1], "n == 0x5": [5], "n == 1e0": [1],
    "(((n)))==1": [1], "n in []": [], "": list(range(10)),
}
WRONG = [
    "t == rosalia", "nosuch == 1", "n nin [1]", "n = 1", "n === 1", "n <> 1", "t == 5", "n == 'x'",
    "n like '1%'", "n in [1, 'x']", "t in [1]", "n in 5", "n == 1 and", "and n == 1", "(n == 1",
    "n == 1)", "t ==", "n between 1 and 2", "vector == [1]", "id == 1; drop", "n == 1 -- x",
    "SELECT 1", "n == null", "n == None", "count(*) > 1", "lower(t) == 'x'", "n % 2", "n", "5",
    "'x'",
    "n == now()", "t contains 's1'", "array_contains(n, 1)", "n == \u201c1\u201d", "NOT n > 1",
]


def test_filters_as_people_write_them(client, name):
    create(client, name, ("t", DataType.VARCHAR, {"max_length": 20, "nullable": True}),
           ("n", DataType.INT64), ("b", DataType.BOOL), ("j", DataType.JSON),
           ("a", DataType.ARRAY, {"element_type": DataType.INT64, "max_capacity": 4}))
    client.insert(name, [
        {"id": i, "vector": [i, 0, 0, 1], "t": "s%d" % i if i else None, "n": i, "b": i % 2 == 0,
         "j": {"k": [i]}, "a": [i]} for i in range(10)])
    for filter, ids in RIGHT.items():
        assert find(client, name, filter) == ids, filter
    for filter in WRONG:
        with refused(1100) as error:
            find(client, name, filter)
        assert filter[:6] in error.value.message, error.value.message

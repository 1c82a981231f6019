"""Fixtures of the pymilvus suite: a running server's address, clients, collections that go away.

The server's address comes from ELANUS_URI, that of its metrics from ELANUS_METRICS; without the
latter, tests that measure the server are skipped. Invariant: every test names its own collections,
so that tests neither see each other nor depend on their order.
"""

import itertools
import os

import pytest
from pymilvus import MilvusClient

URI = os.environ.get("ELANUS_URI", "http://127.0.0.1:19530")
_numbers = itertools.count()


def pytest_report_header():
    import pymilvus

    return "pymilvus %s, server %s" % (pymilvus.__version__, URI)


@pytest.fixture(scope="session")
def uri():
    return URI


@pytest.fixture(scope="session")
def client():
    client = MilvusClient(uri=URI)
    yield client
    client.close()


@pytest.fixture
def connect():
    """Makes further connections of their own; closed after the test."""
    opened = []

    def open_one(**options):
        # Both ways in which client lines tell connections apart: an alias, and `dedicated`.
        alias = "own-%d" % next(_numbers)
        opened.append(MilvusClient(uri=URI, alias=alias, dedicated=True, **options))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


def _new_name(request):
    stem = "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]
    return "%s_%d_%d" % (stem.strip("_"), os.getpid(), next(_numbers))


def _drop(client, name):
    if not client.has_collection(name):
        return
    for alias in client.describe_collection(name).get("aliases", []):
        client.drop_alias(alias)
    client.drop_collection(name)


@pytest.fixture
def name(client, request):
    """A name that no collection has; a collection that gets it is dropped after the test."""
    name = _new_name(request)
    yield name
    _drop(client, name)


@pytest.fixture(scope="module")
def module_name(client, request):
    """As `name`, for a collection that all tests of a file read."""
    name = _new_name(request)
    yield name
    _drop(client, name)

"""Who may ask: the names of the server, pages of other sites, and what the log makes of a proxy's header."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from serving import assert_problem, make_app, make_client, upload
from wavepaint.errors import OptionError
from wavepaint.server.settings import Settings

NAMED = Settings(allowed_hosts=("wavepaint.example",))


@pytest.fixture(scope="module")
def client():
    with make_client(NAMED) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LocalHost.", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "192.168.1.7:80"),
        *("wavepaint.example", "WavePaint.example:443", "wavepaint.example."),
    ],
)
def test_names_of_the_server(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "[evil", ""),
        *("sub.wavepaint.example", "127.0.0.1@evil.example", "x\x1b[31m", "[::1].evil.example"),
    ],
)
def test_other_names_are_refused(client, host):
    for answer in (
        client.get("/", headers={"Host": host}),
        client.post("/v1/inpaint", files=upload(), headers={"Host": host}),
    ):
        assert_problem(answer, 421, "--allowed-host")
        assert "\x1b" not in answer.json()["detail"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_name_where_that_was_asked_for():
    with make_client(Settings(allowed_hosts=("*",))) as client:
        assert client.get("/healthz", headers={"Host": "anything.example"}).status_code == 200


@pytest.mark.parametrize("name", ["", "http://a.example", "a.example:80", "A.example", "a b", "*.example"])
def test_allowed_hosts_that_make_no_sense(name):
    with pytest.raises(OptionError, match="an allowed host is a name"):
        Settings(allowed_hosts=(name,))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Origin": "http://127.0.0.1:80"}, True),
        ({"Origin": "https://wavepaint.example", "Host": "wavepaint.example"}, True),
        ({"Origin": "https://wavepaint.example:8443", "Host": "wavepaint.example:8443"}, True),
        ({"Origin": "https://public.example", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://example.org"}, False),
        ({"Origin": "http://127.0.0.1:9000"}, False),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://[127.0.0.1"}, False),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_posts_of_pages(client, headers, allowed):
    answer = client.post("/v1/inpaint", files=upload(), headers=headers)
    if allowed:
        assert answer.status_code == 200
    else:
        assert_problem(answer, 403, "other sites")


@pytest.mark.parametrize(
    ("forwarded", "logged"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("203.0.113.9:55", "203.0.113.9"),
        ("evil GET /admin 200", "-"),
        ("1.2.3.4\x1b[2J", "-"),
        ("9" * 5000, "-"),
        ("fe80::1%eth0 forged 200", "fe80::1"),
        ("<script>", "-"),
    ],
)
def test_the_log_takes_nothing_but_an_address_from_a_proxy(caplog, forwarded, logged):
    app = ProxyHeadersMiddleware(make_app(), trusted_hosts="127.0.0.1")
    with (
        caplog.at_level("INFO", "wavepaint.access"),
        TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 9)) as client,
    ):
        client.get("/healthz", headers={"X-Forwarded-For": forwarded})
    (line,) = [record.getMessage() for record in caplog.records if record.name == "wavepaint.access"]
    assert re.fullmatch(re.escape(logged) + r" GET /healthz 200 \d\.\d{3}s in=0 out=\d+", line)

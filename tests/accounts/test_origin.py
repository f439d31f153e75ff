"""Which web pages may talk to the API: every combination of Host, Origin and Sec-Fetch-* that matters."""

import contextlib
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavo.accounts.origin import DECODE, BrowserRules, Call, Verdict, authority, check_listener, is_loopback
from pavo.config import HttpSettings
from pavo.errors import ConfigurationError, Forbidden

SECRET = "a secret of more than thirty-two characters"
METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]


def settings(**given: object) -> HttpSettings:
    return HttpSettings.model_validate(given)


def token_settings(**given: object) -> HttpSettings:
    return settings(auth="token", secret_key=SECRET, **given)


def call(method: str = "GET", host: str | None = "localhost:8000", origin: str | None = None, **more: object) -> Call:
    defaults: dict[str, object] = {"path": "/api/tasks", "scheme": "http"}
    return Call(method=method, host=host, origin=origin, **{**defaults, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "127.9.9.9", "[::1]", "[::1]:8000"]
)
def test_dev_serves_this_machines_names(method: str, host: str) -> None:
    assert BrowserRules(settings()).judge(call(method, host)) == Verdict()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "localhost.",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost:8000:8000",
        "localhost:port",
        "0.0.0.0:8000",
        "192.168.1.7",
        "[::]",
        "[fe80::1]",
        "2130706433",
        "0x7f.1",
        "localhost, evil.example",
        "\0",
    ],
)
def test_dev_serves_no_other_name(method: str, host: str | None) -> None:
    with pytest.raises(Forbidden) as refused:
        BrowserRules(settings()).judge(call(method, host))
    assert refused.value.field == "Host"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("LocalHost:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_dev_serves_its_own_page(method: str, host: str, origin: str) -> None:
    assert BrowserRules(settings()).judge(call(method, host, origin)) == Verdict()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:8000",
        "http://localhost:3000",
        "http://127.0.0.1:8000",
        "https://localhost:8000",
        "http://localhost:8000.evil.example",
        "http://localhost:8000/",
        "http://localhost:8000@evil.example",
        "file://",
        "chrome-extension://abcdef",
        "null",
        "",
        "\0",
    ],
)
def test_dev_refuses_every_other_page(method: str, origin: str) -> None:
    with pytest.raises(Forbidden) as refused:
        BrowserRules(settings()).judge(call(method, origin=origin))
    assert refused.value.field == "Origin"


@pytest.mark.parametrize("method", METHODS)
def test_pages_from_disk_are_served_only_when_allowed(method: str) -> None:
    rules = BrowserRules(settings(allow_file_origin=True))
    assert rules.judge(call(method, origin="null")) == Verdict("null")
    with pytest.raises(Forbidden):
        rules.judge(call(method, origin="http://evil.example"))
    with pytest.raises(Forbidden):
        rules.judge(call(method, host="evil.example", origin="null"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
@pytest.mark.parametrize(("mode", "dest"), [("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe")])
@pytest.mark.parametrize("path", ["/", "/api/tasks", "/tasks/1/stream"])
def test_dev_serves_no_embedding_page(site: str, mode: str, dest: str, path: str) -> None:
    with pytest.raises(Forbidden):
        BrowserRules(settings()).judge(call(fetch_site=site, fetch_mode=mode, fetch_dest=dest, path=path))


def test_dev_lets_a_link_be_followed_to_a_page_but_not_to_data() -> None:
    link = {"fetch_site": "cross-site", "fetch_mode": "navigate", "fetch_dest": "document"}
    rules = BrowserRules(settings())
    assert rules.judge(call(path="/", **link)) == Verdict()
    for method, path in (("GET", "/api/tasks"), ("POST", "/")):
        with pytest.raises(Forbidden):
            rules.judge(call(method, path=path, **link))
    for site in ("same-origin", "none"):
        assert rules.judge(call(fetch_site=site, fetch_mode="cors", fetch_dest="empty")) == Verdict()


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_write_by_cookie_names_its_own_origin(method: str) -> None:
    rules = BrowserRules(token_settings(cors_origins="https://app.example"))
    here = {"host": "pavo.example", "session": True}
    for own in ("http://pavo.example", "https://pavo.example"):
        assert rules.judge(call(method, origin=own, **here)) == Verdict()
    assert rules.judge(call(method, origin="https://app.example", **here)) == Verdict("https://app.example", True)
    for foreign in (None, "null", "https://evil.example", "http://app.example", "https://pavo.example.evil.example"):
        with pytest.raises(Forbidden):
            rules.judge(call(method, origin=foreign, **here))


@pytest.mark.parametrize("make", [settings, token_settings])
def test_temporals_ui_may_have_payloads_decrypted_and_nothing_else(make: Callable[..., HttpSettings]) -> None:
    ui = "http://localhost:8233"
    rules = BrowserRules(make(temporal_ui=f"{ui}/namespaces/default", public_hosts="localhost"))
    for method in ("OPTIONS", "POST"):
        assert rules.judge(call(method, origin=ui, path=DECODE)) == Verdict(ui, credentials=True)
        for path in ("/api/tasks", "/api/session", f"{DECODE}/", "/"):
            with pytest.raises(Forbidden):
                rules.judge(call(method, origin=ui, path=path))
        for other in ("null", "http://localhost:8234", "https://localhost:8233", "http://evil.example:8233"):
            with pytest.raises(Forbidden):
                rules.judge(call(method, origin=other, path=DECODE))
        with pytest.raises(Forbidden):
            rules.judge(call(method, "evil.example", origin=ui, path=DECODE))
        for none in ("", "localhost", "http://[::1", "ftp://localhost:8233"):
            with pytest.raises(Forbidden):
                BrowserRules(make(temporal_ui=none)).judge(call(method, origin=ui, path=DECODE))


def test_https_is_not_answered_to_a_page_that_came_in_the_clear() -> None:
    with pytest.raises(Forbidden):
        BrowserRules(token_settings()).judge(
            call("POST", "pavo.example", "http://pavo.example", scheme="https", session=True)
        )


def test_a_bearer_token_needs_no_origin_and_gets_no_cors() -> None:
    rules = BrowserRules(token_settings())
    assert rules.judge(call("POST", "pavo.example", bearer=True, session=True)) == Verdict()
    assert rules.judge(call("POST", "pavo.example", "https://evil.example", bearer=True)) == Verdict()
    assert rules.judge(call("GET", "pavo.example", "https://evil.example", session=True)) == Verdict()


def test_a_foreign_page_opens_no_session_and_gets_no_preflight() -> None:
    rules = BrowserRules(token_settings())
    for method in ("POST", "OPTIONS"):
        with pytest.raises(Forbidden):
            rules.judge(call(method, "pavo.example", "https://evil.example", path="/api/session"))


def test_public_hosts() -> None:
    rules = BrowserRules(token_settings(public_hosts="pavo.example, pavo.internal:8443"))
    for host in ("pavo.example", "PAVO.example:443", "pavo.internal:8443"):
        rules.judge(call(host=host))
    rules.judge(call(host="10.0.0.7:8000", path="/readyz"))
    for host in ("pavo.internal", "evil.example", None, "pavo.example.evil.example"):
        with pytest.raises(Forbidden):
            rules.judge(call(host=host))


@given(host=st.text(max_size=30), origin=st.none() | st.text(max_size=30))
def test_no_header_breaks_the_rules(host: str, origin: str | None) -> None:
    for rules in (BrowserRules(settings()), BrowserRules(token_settings(public_hosts="a", cors_origins="http://a"))):
        with contextlib.suppress(Forbidden):
            rules.judge(call("POST", host, origin))


@given(name=st.text(alphabet="0123456789abcdefx.:[]localhost", max_size=16))
def test_only_loopback_is_loopback(name: str) -> None:
    where = authority(name, "http")
    if where is not None and is_loopback(where[0]):
        assert where[0] == "localhost" or where[0].startswith(("127.", "[::1", "[0", "[::ffff:127", "[::ffff:7f"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "pavo.example", "localhost.evil.example", ""])
def test_dev_refuses_to_listen_where_others_reach_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match="PAVO_AUTH=dev") as refused:
        check_listener(settings(host=host))
    assert "PAVO_AUTH=token" in (refused.value.remedy or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_dev_listens_on_loopback(host: str) -> None:
    check_listener(settings(host=host))


@pytest.mark.parametrize("secret", [None, "", "short", "x" * 31])
def test_token_mode_needs_a_secret(secret: str | None) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_listener(settings(auth="token", host="0.0.0.0", secret_key=secret))
    assert refused.value.field == "PAVO_SECRET_KEY"


@pytest.mark.parametrize("origins", ["*", "null", "app.example", "https://app.example/", "ftp://app.example"])
def test_cors_takes_origins_only(origins: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_listener(token_settings(cors_origins=origins))
    assert refused.value.field == "PAVO_CORS_ORIGINS"


def test_token_mode_listens_anywhere() -> None:
    check_listener(token_settings(host="0.0.0.0", cors_origins="https://app.example, http://localhost:5173"))


async def test_a_foreign_page_is_told_how_it_could_ask(stack: str) -> None:
    async with httpx2.AsyncClient(base_url=stack) as page:
        for headers in ({"Origin": "https://app.example"}, {"Sec-Fetch-Site": "cross-site"}):
            refused = await page.get("/api/tasks", headers=headers)
            assert refused.status_code == 403 and "PAVO_CORS_ORIGINS" in refused.json()["remedy"], headers

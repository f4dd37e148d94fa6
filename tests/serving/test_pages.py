"""The page and the documentation: served as files and as HTML, without the internet."""

import re

import pytest
from calls import ask

from ostinato.serving import pages


@pytest.fixture
def page(tmp_path, monkeypatch):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<title>é</title>", encoding="utf-8")
    (tmp_path / "page" / "view.js").write_text("export {}", encoding="utf-8")
    (tmp_path / "page" / ".hidden").write_text("x", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("x", encoding="utf-8")
    monkeypatch.setattr(pages, "FOLDER", tmp_path / "page")


def test_the_page_and_its_files_are_served(service, page):
    reply = ask(service, "/")
    assert (reply.status, reply.body.decode()) == (200, "<title>é</title>")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert ask(service, "/page/view.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["other.js", ".hidden", "..", ".", "../secret.txt", "%2e%2e", "", "\x00"])
def test_other_files_are_404(service, page, name):
    reply = ask(service, f"/page/{name}")
    assert reply.status == 404 and reply.error


def test_a_page_that_was_not_installed_is_404(service, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    assert ask(service, "/").error


def test_the_documentation_shows_every_endpoint_and_loads_nothing(service):
    described = ask(service, "/openapi.json").json
    reply = ask(service, "/docs")
    html = reply.body.decode()
    for path, operations in described["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in html
    assert not re.search(r"<script|src=|https?://|@import|url\(", html)
    assert "explanation_methods" in html  # the fields of bodies are described


def test_the_description_has_the_bodies_of_all_requests(service):
    paths = ask(service, "/openapi.json").json["paths"]
    bodies = {path for path, operations in paths.items() if "requestBody" in operations.get("post", {})}
    assert {"/predict", "/explain", "/trace", "/v2/models/{model}/infer"} <= bodies
    assert "sequence" in paths["/predict"]["post"]["description"]


def test_no_other_site_may_read_answers(service):
    headers = [("Origin", "https://example.org"), ("Access-Control-Request-Method", "POST")]
    for method in ("GET", "OPTIONS"):
        reply = ask(service, "/models", method=method, headers=headers)
        assert not any(name.startswith("access-control") for name in reply.headers)

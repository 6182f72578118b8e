"""What every page keeps to: own origin, nothing inline, one theme cookie, rooms by role."""

import json
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template.loader import render_to_string
from django.test import Client, RequestFactory

from config.context import interface
from config.models import Role, User

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
TEMPLATES = sorted(
    path for app in ROOT.iterdir() for path in (app / "templates").rglob("*.html") if app.is_dir()
)
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
IMPORT = re.compile(r"""^(?:(?:im|ex)port\b[^;"']*\bfrom|import)\s+["']([^"']+)["'];""", re.M)
SHEETS = sorted((STATIC / "css").rglob("*.css"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def login_page(db: None):
    return Client().get("/login/")


def test_the_policy_allows_our_own_origin_and_nothing_inline(login_page):
    policy = dict(
        part.strip().split(" ", 1)
        for part in login_page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in login_page.headers["Content-Security-Policy"]
    assert re.fullmatch(r"'self' 'nonce-[\w+/=]{20,}'", policy["script-src"])


def test_the_nonce_is_spent_on_the_import_map_alone_and_never_repeats(login_page):
    html = login_page.content.decode()
    [nonce] = re.findall(r'nonce="([^"]+)"', html)
    assert f"'nonce-{nonce}'" in login_page.headers["Content-Security-Policy"].replace("&", "")
    assert re.search(r'<script type="importmap" nonce="[^"]+">', html)
    assert nonce not in Client().get("/login/").content.decode()


def test_the_import_map_names_every_module_of_ours(login_page):
    html = login_page.content.decode()
    imports = json.loads(re.search(r'<script type="importmap"[^>]*>(.*?)</script>', html)[1])
    names = {path.relative_to(STATIC / "js").with_suffix("").as_posix() for path in SCRIPTS}
    assert set(imports["imports"]) == names
    assert all(address.startswith("/static/") for address in imports["imports"].values())


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_no_template_has_inline_script_or_style(path):
    text = path.read_text()
    assert not re.search(r"<style\b", text)
    assert not re.search(r"\sstyle\s*=", text)
    sent = re.sub(r"{%.*?%}", "", text)  # `{% if one == two %}` is not an attribute
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", sent)
    for tag in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in tag or 'type="application/json"' in tag
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_modules_import_bare_names_that_exist_and_only_downwards(path):
    layer = {"lib": 0, "elements": 1}
    own = layer.get(path.parent.name, 2)
    for name in IMPORT.findall(path.read_text()):
        assert not name.startswith("."), "relative imports break with hashed names"
        assert (STATIC / "js" / f"{name}.js").exists(), name
        assert layer.get(name.split("/")[0], 2) <= own, f"{name} is above {path.name}"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_only_one_place_turns_text_into_html(path):
    text = path.read_text()
    assert "eval(" not in text
    assert "new Function" not in text
    assert not re.search(r"insertAdjacentHTML|outerHTML\s*=|document\.write", text)
    if path != STATIC / "js" / "lib" / "dom.js":
        assert not re.search(r"innerHTML\s*=", text)


@pytest.mark.parametrize("path", SHEETS, ids=name_of)
def test_every_sheet_belongs_to_a_layer_and_loads_nothing_from_elsewhere(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S).strip()
    assert text.startswith("@layer ")
    assert not re.search(r"url\(\s*['\"]?(https?:)?//", text)
    assert text.count("{") == text.count("}")


def test_colours_are_stated_once_in_the_tokens():
    """Dark mode works because no other sheet has a colour of its own."""
    for path in SHEETS:
        if path.name != "tokens.css":
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\b(rgb|hsl|oklch|lab)a?\(", text), path.name


@pytest.mark.parametrize(
    ("cookie", "printed"), [("dark", 'data-theme="dark"'), ("light", 'data-theme="light"')]
)
def test_the_remembered_theme_is_printed_by_the_server(db, cookie, printed):
    client = Client()
    client.cookies["theme"] = cookie
    assert printed in client.get("/login/").content.decode()


def test_an_unknown_theme_is_ignored(db):
    client = Client()
    client.cookies["theme"] = "<script>"
    html = client.get("/login/").content.decode()
    assert "data-theme" not in html


@pytest.mark.parametrize(
    ("role", "rooms"),
    [
        (None, ["/"]),
        (Role.MEMBER, ["/"]),
        (Role.ANNOTATOR, ["/", "/annotate/"]),
        (Role.REVIEWER, ["/", "/annotate/", "/review/"]),
        (Role.RESEARCHER, ["/", "/annotate/", "/review/", "/console/"]),
        (Role.ADMIN, ["/", "/annotate/", "/review/", "/console/"]),
    ],
)
def test_people_see_the_rooms_of_their_role(role, rooms):
    request = RequestFactory().get("/annotate/")
    request.user = AnonymousUser() if role is None else User(username="x", role=role)
    shown = interface(request)["rooms"]
    assert [room["address"] for room in shown] == rooms
    assert [room["address"] for room in shown if room["current"]] == rooms[1:2]


def test_a_conversation_lies_in_the_chat_room():
    request = RequestFactory().get("/c/1f0c2d3e-0000-4000-8000-000000000000/")
    request.user = AnonymousUser()
    assert [room["current"] for room in interface(request)["rooms"]] == [True]


def test_a_missing_page_says_so_and_offers_a_way_on(db):
    answer = Client().get("/no/such/page/")
    assert answer.status_code == 404
    html = answer.content.decode()
    assert "There is no such page" in html
    assert 'href="/"' in html


def test_the_page_for_our_own_faults_needs_no_request_and_no_scripts():
    html = render_to_string("500.html")
    assert "Something broke on our side" in html
    assert "<script" not in html


def test_a_wrong_password_is_answered_in_words_and_keeps_the_name(db):
    answer = Client().post("/login/", {"username": "alice", "password": "wrong"})
    html = answer.content.decode()
    assert 'value="alice"' in html
    assert 'role="alert"' in html
    assert "wrong" not in html.partition('id="id_password"')[2][:200]

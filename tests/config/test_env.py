"""Settings from the environment."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import env, to_bool, to_list


def test_a_value_comes_from_the_variable_and_is_cast(monkeypatch):
    monkeypatch.setenv("ANSWER", "42")
    assert env("ANSWER", int) == 42


def test_a_secret_comes_from_the_file_that_the_file_variable_names(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hush\n")
    monkeypatch.setenv("ANSWER", "from the variable")
    monkeypatch.setenv("ANSWER_FILE", str(tmp_path / "secret"))
    assert env("ANSWER") == "hush"


def test_a_missing_required_value_is_named(monkeypatch):
    monkeypatch.delenv("ANSWER", raising=False)
    with pytest.raises(ImproperlyConfigured, match="Set ANSWER"):
        env("ANSWER")
    assert env("ANSWER", int, 7) == 7


@pytest.mark.parametrize(("cast", "raw"), [(int, "forty"), (to_bool, "perhaps")])
def test_a_malformed_value_stops_the_start_with_its_name(monkeypatch, cast, raw):
    monkeypatch.setenv("ANSWER", raw)
    with pytest.raises(ImproperlyConfigured, match="ANSWER"):
        env("ANSWER", cast)


def test_words_and_lists_are_read_as_people_write_them():
    assert [to_bool(word) for word in ("yes", "On", "1")] == [True] * 3
    assert [to_bool(word) for word in ("no", "off", "")] == [False] * 3
    assert to_list(" a, b ,,c ") == ["a", "b", "c"]

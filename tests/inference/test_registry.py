"""Model versions on record: hashed, named once, and never in a form that runs code."""

import pytest

from config.errors import Conflict, Invalid
from inference.models import ModelVersion
from inference.services import registry

pytestmark = pytest.mark.django_db


def test_an_artefact_is_registered_once_however_often_it_is_asked(artefact):
    folder = artefact("one", window=512)
    first = registry.register(name="one", kind="policy", location=folder)
    again = registry.register(name="one", kind="policy", location=folder)
    assert first == again
    assert first.metadata["context_window"] == 512
    assert len(first.digest) == 64
    assert ModelVersion.objects.count() == 1


def test_a_name_is_never_given_to_other_weights(artefact):
    registry.register(name="one", kind="policy", location=artefact("one"))
    with pytest.raises(Conflict, match="not reused"):
        registry.register(name="one", kind="policy", location=artefact("other"))


def test_the_digest_sees_contents_and_names_but_not_the_place(artefact, tmp_path):
    one, two = artefact("one", weights=b"same"), artefact("two", weights=b"same")
    assert registry.artefact_digest(one) == registry.artefact_digest(two)
    (two / "model.safetensors").rename(two / "other.safetensors")
    assert registry.artefact_digest(one) != registry.artefact_digest(two)
    assert registry.artefact_digest(one) != registry.artefact_digest(artefact("three"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.pt", "modeling.py", "a.PKL"])
def test_files_that_could_run_code_are_refused(artefact, name):
    folder = artefact("one")
    (folder / name).write_bytes(b"x")
    with pytest.raises(Invalid, match="could run code"):
        registry.register(name="one", kind="policy", location=folder)
    assert not ModelVersion.objects.exists()


def test_a_folder_without_weights_and_no_folder_at_all_are_refused(tmp_path):
    with pytest.raises(Invalid, match="safetensors"):
        registry.register(name="one", kind="policy", location=tmp_path)
    with pytest.raises(Invalid, match="no folder"):
        registry.register(name="one", kind="policy", location=tmp_path / "nowhere")


def test_how_the_model_wants_to_be_sampled_is_read_from_its_folder(artefact):
    folder = artefact("one")
    (folder / "generation_config.json").write_text('{"temperature": 0.7, "top_p": 1.0}')
    version = registry.register(name="one", kind="policy", location=folder)
    assert version.metadata["sampling"] == {"temperature": 0.7, "top_p": 1.0}


def test_the_starter_can_be_replaced_by_a_folder(artefact, settings):
    settings.PREFERENDUM_MODEL = str(artefact("My Model 2"))
    version = registry.ensure_starter()
    assert version.name == "my-model-2"
    assert registry.ensure_starter() == version


def test_other_weights_under_the_same_setting_get_a_name_of_their_own(artefact, settings):
    folder = artefact("base")
    settings.PREFERENDUM_MODEL = str(folder)
    first = registry.ensure_starter()
    (folder / "model.safetensors").write_bytes(b"newer")
    second = registry.ensure_starter()
    assert first.name == "base"
    assert second.name == f"base-{second.digest[:8]}"


def test_a_model_that_is_nowhere_is_named_with_what_to_do(settings):
    settings.PREFERENDUM_MODEL = "someone/some-model"
    with pytest.raises(Invalid, match="hf download"):
        registry.ensure_starter()

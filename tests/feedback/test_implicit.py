"""What people do with two answers becomes a preference, as far as an audit bears it out."""

import pytest

from alignment.services import parquet, snapshots
from annotation.models import Project
from config.errors import Invalid
from feedback.models import Message, ReactionTrust
from feedback.services import implicit
from tests.feedback.talks import react, talk

pytestmark = pytest.mark.django_db


def ids() -> list[int]:
    return [Project.objects.get(slug="demo").pk]


def asked_again(served, *, texts=("first", "second"), went_on=False, guest="a" * 32, **more):
    """The first answer was asked for again; with `went_on` the person asked on from the second."""
    one = talk(served, ["How do I make tea?"], list(texts), guest=guest, **more)
    first, second = one.messages.filter(role="assistant").order_by("created_at")
    react(one, "", kind="regenerate", message=first)
    if went_on:
        react(one, "", kind="follow-up", message=second)
    return one, first, second


def found() -> list[implicit.ImplicitRecord]:
    return list(implicit.preferences(project_ids=ids()))


def test_asking_again_prefers_the_answer_that_was_kept(served):
    _, first, second = asked_again(served)
    [record] = found()
    assert (record.chosen_id, record.rejected_id) == (second.pk, first.pk)
    assert (record.signal, record.chosen, record.rejected) == ("regenerate", "second", "first")
    assert record.prompt == [{"role": "user", "content": "How do I make tea?"}]
    assert (record.probability, record.audited, record.weight) == (0.6, 0, 1.0)


def test_what_was_done_next_tells_the_signals_apart(served):
    asked_again(served, went_on=True)
    assert [one.signal for one in found()] == ["went-on"]
    copied = talk(served, ["Tell me a joke."], ["dull", "funny"])
    dull, funny = copied.messages.filter(role="assistant").order_by("created_at")
    react(copied, "", kind="copy", message=funny)
    assert [(one.signal, one.chosen) for one in found()][1:] == [("copied", "funny")]
    react(copied, "", kind="copy", message=dull)  # both: nothing to choose between
    assert len(found()) == 1


@pytest.mark.parametrize(
    ("old", "signals"), [("How do I make green tea?", ["reworded"]), ("Where is Paris?", [])]
)
def test_a_question_in_nearly_the_same_words_compares_its_answers(served, old, signals):
    one = talk(served, [old], ["bad"])
    react(one, "", kind="edit")
    again = Message.objects.create(
        conversation=one, parent=None, role="user", text="How do I make good green tea?"
    )
    Message.objects.create(
        conversation=one, parent=again, role="assistant", text="good",
        model_version=served.model_version,
    )  # fmt: skip
    records = found()
    assert [record.signal for record in records] == signals
    for record in records:
        assert (record.chosen, record.rejected) == ("good", "bad")
        assert record.prompt[-1]["content"] == again.text


def test_nothing_is_read_where_there_is_no_consent_or_no_difference(served):
    asked_again(served, consent=False)
    asked_again(served, texts=("same", "same"))
    _, first, second = asked_again(served)
    react(second.conversation, "", kind="regenerate", message=second)
    assert found() == []
    react(first.conversation, "", kind="copy", message=first)
    assert found() == []


def test_the_probability_is_the_audited_share_and_audited_pairs_are_left_to_their_words(served):
    for n in range(10):
        _, first, second = asked_again(served, guest=f"{n}" * 32)
        if n < 8:
            react(second.conversation, "love", message=second)
        else:
            react(first.conversation, "like", message=first)
    asked_again(served, guest="b" * 32)
    audit = implicit.audits(project_ids=ids())["regenerate"]
    assert (audit.agreed, audit.audited) == (8, 10)
    [record] = found()  # the ten that were said in words are not among them
    assert record.probability == round((8 + 3) / (10 + 5), 4)
    assert record.audited == 10


def test_a_later_verdict_goes_before_the_reaction_of_the_moment(served):
    _, _first, second = asked_again(served)
    react(second.conversation, "love", message=second)
    assert implicit.audits(project_ids=ids())["regenerate"].agreed == 1
    react(second.conversation, "misled", kind="hindsight", message=second)
    audit = implicit.audits(project_ids=ids())["regenerate"]
    assert (audit.agreed, audit.audited) == (0, 1)


def test_what_is_signalled_later_is_not_read_and_doubted_people_count_less(served):
    one, _, second = asked_again(served)
    position = one.messages.get(text="first").events.get().pk
    event = react(one, "love", message=talk(served, ["other"], ["x"], guest=one.guest).leaf)
    ReactionTrust.objects.create(event=event, weight=0.25, doubts=[])
    react(one, "", kind="follow-up", message=second)
    assert [(r.signal, r.weight) for r in found()] == [("went-on", 0.25)]
    before = implicit.preferences(project_ids=ids(), position=position)
    assert [(r.signal, r.weight) for r in before] == [("regenerate", 1.0)]


def test_snapshots_take_them_when_asked_with_a_stated_weight(served, settings, tmp_path):
    settings.ARTEFACTS_DIR = tmp_path
    project = Project.objects.get(slug="demo")
    one, *_ = asked_again(served)
    doubted = react(one, "love", message=talk(served, ["other"], ["x"], guest=one.guest).leaf)
    ReactionTrust.objects.create(event=doubted, weight=0.5, doubts=[])
    plain = snapshots.take(project=project)
    folder = snapshots.folder_of(plain)
    assert not (folder / "implicit.parquet").exists()
    assert "implicit" not in plain.query
    # Trust reaches reactions, too.
    assert [row["weight"] for row in parquet.read(folder / "reaction.parquet")] == [0.5]
    taken = snapshots.take(project=project, query={"implicit": True})
    folder = snapshots.folder_of(taken)
    [row] = parquet.read(folder / "pairs.parquet")
    assert (row["chosen"], row["rejected"], row["source"]) == ("second", "first", "implicit")
    assert row["soft_label"] == 0.6
    assert row["weight"] == pytest.approx(0.3 * 0.5)
    assert taken.counts["implicit"]["records"] == 1
    ReactionTrust.objects.all().delete()
    again = snapshots.rebuild(taken, _empty(tmp_path / "again"))
    assert again["implicit.parquet"] == parquet.digest(folder / "implicit.parquet")
    assert again["pairs.parquet"] == parquet.digest(folder / "pairs.parquet")
    stated = snapshots.take(project=project, query={"implicit": 0.1})
    [row] = parquet.read(snapshots.folder_of(stated) / "pairs.parquet")
    assert row["weight"] == pytest.approx(0.1)
    with pytest.raises(Invalid, match="weight from 0 to 1"):
        snapshots.take(project=project, query={"implicit": "yes"})


def _empty(folder):
    folder.mkdir()
    return folder

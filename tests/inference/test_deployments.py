"""Who answers whom: shares that sum to 1000, promotion, and the way back."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from config.errors import Conflict, Invalid
from inference import selectors
from inference.models import Deployment
from inference.services import deployments, registry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _engine(engine_double) -> None:
    """Deploying loads the model; the double takes note."""


def shares(project="demo") -> dict[str, tuple[str, int]]:
    serving = selectors.serving(project=project)
    assert not serving or sum(one.weight for one in serving) == 1000
    return {one.arm: (one.model_version.name, one.weight) for one in serving}


def test_the_first_live_model_gets_everything(make_policy, engine_double):
    one = make_policy("one")
    deployments.deploy(project="demo", model_version=one)
    assert shares() == {"live": ("one", 1000)}
    assert selectors.live_policy(project="demo") == one
    assert selectors.live_policy(project="other") is None
    assert engine_double.loads == [one.location]


def test_arms_beside_the_live_one_take_their_share_from_it(make_policy):
    deployments.deploy(project="demo", model_version=make_policy("one"))
    deployments.deploy(project="demo", model_version=make_policy("two"), arm="canary", weight=100)
    deployments.deploy(project="demo", model_version=make_policy("three"), arm="holdout", weight=50)
    assert shares() == {
        "live": ("one", 850), "canary": ("two", 100), "holdout": ("three", 50)
    }  # fmt: skip
    deployments.undeploy(project="demo", arm="canary")
    assert shares() == {"live": ("one", 950), "holdout": ("three", 50)}


def test_deploying_the_same_again_only_changes_the_share(make_policy):
    two = make_policy("two")
    deployments.deploy(project="demo", model_version=make_policy("one"))
    first = deployments.deploy(project="demo", model_version=two, arm="canary", weight=100)
    second = deployments.deploy(project="demo", model_version=two, arm="canary", weight=300)
    assert first.pk == second.pk
    assert shares()["live"] == ("one", 700)


def test_shares_that_make_no_sense_are_refused_and_nothing_changes(make_policy):
    one, two = make_policy("one"), make_policy("two")
    with pytest.raises(Conflict, match="live model"):
        deployments.deploy(project="demo", model_version=two, arm="canary", weight=100)
    deployments.deploy(project="demo", model_version=one)
    for weight in (0, 1001, -5):
        with pytest.raises(Invalid, match="1 to 1000"):
            deployments.deploy(project="demo", model_version=two, arm="canary", weight=weight)
    with pytest.raises(Invalid, match="not an arm"):
        deployments.deploy(project="demo", model_version=two, arm="side")
    deployments.deploy(project="demo", model_version=two, arm="canary", weight=600)
    with pytest.raises(Conflict, match="too much"):
        deployments.deploy(project="demo", model_version=two, arm="holdout", weight=500)
    with pytest.raises(Conflict, match="before the live"):
        deployments.undeploy(project="demo", arm="live")
    assert shares() == {"live": ("one", 400), "canary": ("two", 600)}


def test_a_reward_model_does_not_answer_chats(artefact):
    reward = registry.register(name="reward", kind="reward", location=artefact("reward"))
    with pytest.raises(Invalid, match="not a policy"):
        deployments.deploy(project="demo", model_version=reward)


def test_conversations_are_dealt_by_share_and_always_the_same_way(make_policy):
    deployments.deploy(project="demo", model_version=make_policy("one"))
    before = {key: deployments.choose(project="demo", key=str(key)).arm for key in range(400)}
    assert set(before.values()) == {"live"}
    deployments.deploy(project="demo", model_version=make_policy("two"), arm="canary", weight=250)
    dealt = {key: deployments.choose(project="demo", key=str(key)).arm for key in range(400)}
    # Binomial, n = 400, p = 0.25: mean 100, standard deviation 8.7; five of them either way.
    assert 56 <= Counter(dealt.values())["canary"] <= 144
    assert dealt == {
        key: deployments.choose(project="demo", key=str(key)).arm for key in range(400)
    }


def test_with_nothing_deployed_nobody_is_chosen():
    with pytest.raises(Conflict, match="No model serves"):
        deployments.choose(project="demo", key="x")


def test_promoting_the_canary_makes_it_live_alone(make_policy, rita):
    one, two = make_policy("one"), make_policy("two")
    deployments.deploy(project="demo", model_version=one)
    deployments.deploy(project="demo", model_version=two, arm="canary", weight=100)
    live = deployments.promote(project="demo", model_version=two, by=rita, reason="better")
    assert shares() == {"live": ("two", 1000)}
    assert (live.started_by, live.reason) == (rita, "better")
    states = Counter(Deployment.objects.values_list("state", flat=True))
    assert states == {"serving": 1, "draining": 2}


def test_rolling_back_goes_back_step_by_step(make_policy):
    for name in ("one", "two", "three"):
        deployments.promote(project="demo", model_version=make_policy(name))
    assert deployments.rollback(project="demo").model_version.name == "two"
    assert deployments.rollback(project="demo", reason="worse").model_version.name == "one"
    with pytest.raises(Conflict, match="first live model"):
        deployments.rollback(project="demo")
    assert shares() == {"live": ("one", 1000)}


def test_a_model_that_was_rolled_back_is_not_what_a_later_rollback_returns_to(make_policy):
    for name in ("one", "bad"):
        deployments.promote(project="demo", model_version=make_policy(name))
    deployments.rollback(project="demo")
    deployments.promote(project="demo", model_version=make_policy("newer"))
    assert deployments.rollback(project="demo").model_version.name == "one"


def test_rolling_back_with_nothing_live_is_refused():
    with pytest.raises(Conflict, match="Nothing is live"):
        deployments.rollback(project="demo")


def test_an_engine_that_is_down_does_not_prevent_a_deployment(make_policy, settings):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    deployments.deploy(project="demo", model_version=make_policy("one"))
    assert shares() == {"live": ("one", 1000)}


def test_what_has_drained_is_ended_and_its_adapter_unloaded(artefact, engine_double, make_policy):
    engine_double.is_vllm = True
    adapter = registry.register(
        name="adapter-1", kind="policy", form="adapter", location=artefact("adapter")
    )
    deployments.deploy(project="demo", model_version=adapter)
    assert engine_double.adapters == ["adapter-1"]
    deployments.promote(project="demo", model_version=make_policy("two"))
    assert deployments.end_drained() == 0  # answers may still be under way
    Deployment.objects.filter(state="draining").update(ended_at=timezone.now() - timedelta(hours=1))
    assert deployments.end_drained() == 1
    assert engine_double.adapters == []
    assert not Deployment.objects.filter(state="draining").exists()

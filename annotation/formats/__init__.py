"""File formats: how each is read into tasks, prompts and judgments. No Django here."""

from annotation.bodies import READERS
from annotation.formats import (
    arenas,
    argilla,
    finegrained,
    label_studio,
    mapping,
    pairs,
    preferendum,
    published,
    scored,
    stepwise,
    trees,
)
from annotation.formats.items import Format
from config.errors import Invalid

ALL_KINDS = tuple(READERS)
RANKED = ("pairwise", "listwise")
LISTED = ("listwise", "pairwise")

IMPORTS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("preferendum", "the lossless form", preferendum.parse, ALL_KINDS),
        Format("prompts", "prompts without answers", pairs.prompts, ()),
        Format("trl", "TRL preference pairs or prompts", pairs.trl, labelled=True),
        Format("hh-rlhf", "HH-RLHF transcripts", pairs.hh_rlhf, labelled=True),
        Format("fastchat-votes", "FastChat and LMArena", arenas.fastchat_votes, labelled=True),
        Format("rewardbench2", "RewardBench 1 and 2", scored.rewardbench, RANKED, True),
        Format("helpsteer", "HelpSteer2", scored.helpsteer, ("pairwise", "rating"), True),
        Format("ultrafeedback", "UltraFeedback", scored.ultrafeedback, RANKED, True),
        Format("openassistant", "OpenAssistant trees", trees.openassistant, LISTED, True),
        Format(
            "fine-grained-rlhf",
            "FineGrainedRLHF feedback",
            finegrained.fine_grained,
            ("span", "pairwise", "critique"),
            True,
            together=("span", "pairwise"),
            words={
                "categories": finegrained.ERRORS,
                "missing_categories": finegrained.MISSING,
            },
        ),
        Format("prm800k", "PRM800K", stepwise.prm800k, ("step",), True),
        Format(
            "label-studio",
            "Label Studio JSON",
            label_studio.label_studio,
            ALL_KINDS,
            True,
            inside="data",
        ),
        Format("argilla", "Argilla records as on the Hub", argilla.argilla, ALL_KINDS, True),
        Format("records", "any records, by the names of their fields", mapping.records, ALL_KINDS),
        Format("bigbench-mistake", "BIG-Bench Mistake", stepwise.bigbench_mistake, ("step",), True),
        Format("llmbar", "LLMBar", published.llmbar, labelled=True),
        Format("pandalm", "PandaLM test set", published.pandalm, labelled=True),
        Format("tulu-eval", "Tulu human evaluation", published.tulu_eval, labelled=True),
        Format("copilot-arena", "Copilot Arena", published.copilot_arena, labelled=True),
        Format("hhh", "HHH alignment pairs", published.hhh, labelled=True),
        Format("ukp-convarg", "UKPConvArg1", published.ukp_convarg, labelled=True),
    )
}


def find(name: str) -> Format:
    """The import format of this name; Invalid, with the names there are, otherwise."""
    if name not in IMPORTS:
        raise Invalid(
            f"There is no import format '{name}'; there are {', '.join(IMPORTS)}.",
            fields={"format": "is not known"},
        )
    return IMPORTS[name]

"""File formats: how each is read into tasks, prompts and judgments. No Django here."""

from annotation.formats import arenas, pairs, preferendum, published, scored
from annotation.formats.items import Format
from config.errors import Invalid

ALL_KINDS = ("pairwise", "listwise", "span", "principle", "rating", "critique")
RANKED = ("pairwise", "listwise")

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

"""Advice the starter policy can give: what is asked, good steps and bad steps.

A step is ``(what to do, why)``. The part in [brackets] is the key by which the step is known again
in a text, so that a detector can tell good advice from bad advice in sampled answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BRACKETS = re.compile(r"\[(.+?)\]")


@dataclass(frozen=True)
class Step:
    """One piece of advice: an imperative clause, its reason, and the key that identifies it."""

    brief: str
    why: str
    key: str

    @classmethod
    def parse(cls, marked: str, why: str) -> Step:
        """Read ``"Cook it for [nine minutes]"`` into the clause and its key."""
        found = _BRACKETS.search(marked)
        if found is None:
            raise ValueError(f"no [key] in step: {marked!r}")
        return cls(_BRACKETS.sub(r"\1", marked), why, found.group(1).lower())


@dataclass(frozen=True)
class HowTo:
    """An intent that asks for advice."""

    name: str
    goals: tuple[str, ...]
    cue: str
    right: tuple[Step, ...]
    wrong: tuple[Step, ...]


def _steps(text: str) -> tuple[Step, ...]:
    pairs = (line.split(" | ") for line in text.strip().splitlines())
    return tuple(Step.parse(brief.strip(), why.strip()) for brief, why in pairs)


def _howto(name: str, goals: str, cue: str, right: str, wrong: str) -> HowTo:
    return HowTo(name, tuple(goals.split(" | ")), cue, _steps(right), _steps(wrong))


HOWTOS: tuple[HowTo, ...] = (
    _howto(
        "boil_egg",
        "boil an egg | cook a boiled egg | make a hard-boiled egg | boil eggs | "
        "cook an egg in water",
        r"\begg?s?\b",
        """
        Bring a [pan of water] to a boil | so the heat is even from the start
        Lower the egg in [with a spoon] | so the shell does not crack
        Cook it for [nine minutes] | which gives a firm yolk
        Move the egg into [cold water] | to stop it from cooking further
        Peel it [under the tap] | because the water lifts the shell away
        """,
        """
        Cook it for [two hours] | because an egg needs a very long time
        Put the egg [in the microwave] with its shell on | because that is the fastest way
        Drop the egg in [from high up] | so the shell opens by itself
        Boil it [without any water] | because a dry pan is hotter
        """,
    ),
    _howto(
        "make_tea",
        "make tea | make a cup of tea | brew tea | prepare a good cup of tea | make some black tea",
        r"\btea\b",
        """
        Boil [fresh water] | because it gives a cleaner taste
        [Warm the cup] first | so the tea stays hot for longer
        Steep the tea for [four minutes] | which is enough for a full flavour
        [Take the leaves out] in time | so the tea does not turn bitter
        Add [milk or lemon] at the end | to suit your own taste
        """,
        """
        Steep the tea for [three days] | because more time gives more flavour
        Use [cold salt water] | because salt wakes the leaves
        [Fry the leaves] in butter first | so the tea becomes crisp
        Add [a spoon of soap] | to make it clear
        """,
    ),
    _howto(
        "cook_rice",
        "cook rice | make rice | cook a pot of rice | prepare white rice | steam rice",
        r"\brice\b",
        """
        [Rinse the rice] until the water is clear | so the grains do not stick
        Use [two cups of water] for each cup of rice | which is enough for soft grains
        Keep the [lid on the pot] | so the steam stays inside
        Simmer it on [low heat] | because a hard boil breaks the grains
        Let it [rest off the heat] for a while | so the last steam is taken up
        """,
        """
        Use [no water at all] | because rice is wet enough already
        Keep the heat [on full for an hour] | because a burnt pot adds colour
        [Rinse it with milk] and soap | so the grains shine
        [Stir it every second] until it is glue | because rice should be one lump
        """,
    ),
    _howto(
        "sleep_better",
        "sleep better | fall asleep faster | get a good night's sleep | "
        "improve my sleep | sleep well",
        r"\b(a?sleep|slep)\b",
        """
        Go to bed at the [same time] every night | so your body learns the rhythm
        [Put your phone away] an hour before bed | because bright screens keep you awake
        Keep the bedroom [cool and dark] | because that tells the body it is night
        [Skip coffee] after lunch | because caffeine stays in the blood for hours
        Take a [short walk] in the day | so you feel tired in the evening
        """,
        """
        Drink [strong coffee at midnight] | because it relaxes the body
        [Watch loud films] in bed | so your eyes grow tired
        Keep [all the lights on] | because darkness wakes people up
        [Change your bedtime] every night | so the body never gets used to it
        """,
    ),
    _howto(
        "plan_day",
        "plan my day | plan a day | organise my day | make a plan for today | structure my day",
        r"\b(plan|organise|structure)\b.*\b(day|today)\b",
        """
        Write down your [three main tasks] | so you know what matters
        Do the [hardest task first] | while your mind is fresh
        [Set a time] for each task | so the work does not spread out
        Leave [room for breaks] | because nobody works well without rest
        [Look back in the evening] | to see what can move to tomorrow
        """,
        """
        [Start fifty tasks] at once | because more is always better
        [Skip every meal] | so there is more time for work
        Leave the [hardest task for midnight] | because nobody calls at that hour
        [Plan nothing] and wait | because tasks finish themselves
        """,
    ),
    _howto(
        "study",
        "study for an exam | study better | learn for a test | prepare for my exam | "
        "study more effectively",
        r"\b(stud(y|ying)|exams?|test)\b",
        """
        Study in [short blocks] of half an hour | because attention fades after that
        [Test yourself] often | because recalling makes memory stronger
        [Start a week early] | so the material has time to settle
        [Explain it aloud] to someone | because gaps show when you teach
        [Sleep well before] the exam | so the memory can rest
        """,
        """
        [Start the night before] | because stress helps memory
        [Never take a break] | because pauses delete what you learned
        Read the book [upside down] | so the brain works harder
        Keep the [television on] | because noise helps you focus
        """,
    ),
    _howto(
        "save_money",
        "save money | save more money | spend less money | save money every month | "
        "keep more of my pay",
        r"\b(money|monney|spend|pay)\b",
        """
        [Write down] what you spend | so you see where it goes
        [Set aside a part] of your pay on the first day | before it can be spent
        [Cook at home] more often | because eating out costs far more
        [Wait a day] before you buy something large | because many wishes pass
        [Cancel subscriptions] you do not use | because small sums add up
        """,
        """
        [Buy everything on credit] | because later never comes
        [Spend it all] on the first day | so nothing can be lost
        [Bet your pay] on horses | because they always win
        [Throw bills away] unread | because unread bills cost nothing
        """,
    ),
    _howto(
        "write_email",
        "write an email | write a good email | write a polite email | write an email to my boss | "
        "start a formal email",
        r"\be-?mail\b",
        """
        Begin with a [clear subject] line | so the reader knows the topic
        [Greet the person] by name | because it sets a polite tone
        [Say what you need] in the first line | so nobody has to search for it
        Keep it [short and simple] | because long messages are read late
        [Read it once more] before you send it | to catch small mistakes
        """,
        """
        Write it all [in capital letters] | so the reader feels the power
        [Leave the subject empty] | because surprises are good
        [Insult the reader] in the first line | so they pay attention
        [Send it ten times] | because once is never enough
        """,
    ),
    _howto(
        "apologise",
        "apologise | apologise to a friend | say sorry | say sorry to my partner | "
        "make a good apology",
        r"\b(apolog\w+|sorry)\b",
        """
        [Say sorry plainly] | because clear words are easy to accept
        [Name what you did] | so the other person feels understood
        [Listen to them] without defending yourself | because they need to be heard
        [Offer to make it right] | so the words become a deed
        [Give them time] | because trust grows back slowly
        """,
        """
        [Blame them] for everything | because attack is the best defence
        [Laugh at their feelings] | so the mood becomes lighter
        [Deny it ever happened] | because memory is weak
        [Wait ten years] before you speak | because time does the work
        """,
    ),
    _howto(
        "learn_language",
        "learn a language | learn a new language | learn Spanish | get better at a language | "
        "practise a foreign language",
        r"\b(languages?|langauge|spanish)\b",
        """
        Practise [a little every day] | because steady work beats long sessions
        Learn the [most common words] first | because they cover most of daily talk
        [Speak from the first week] | so your ear and mouth get used to it
        [Listen to songs] and stories | because rhythm helps memory
        [Keep a small notebook] | so new words can be seen again
        """,
        """
        [Read only the grammar] for ten years | because talking can wait
        [Never speak] to anyone | so no mistake can happen
        [Learn the dictionary backwards] | because the end is easier
        [Study once a year] | because rest is the best teacher
        """,
    ),
    _howto(
        "water_plants",
        "water my plants | take care of a plant | keep a house plant alive | "
        "look after my plants | keep my plant healthy",
        r"\b(plants?|palnt)\b",
        """
        [Touch the soil] first | because it should be dry on top
        Water it [about once a week] | which is enough for most house plants
        Give it [plenty of daylight] | because leaves live on light
        Use a pot [with a hole] in the bottom | so extra water can leave
        [Wipe dust] from the leaves | so they can breathe
        """,
        """
        Water it with [hot coffee] | because plants need energy
        Keep it [in a dark cupboard] | because light burns the leaves
        [Flood the pot] every hour | because roots love to swim
        [Cut off all the leaves] | so the plant can rest
        """,
    ),
    _howto(
        "get_fit",
        "get fit | get in shape | start exercising | become stronger | get more exercise",
        r"\b(fit|in shape|exercis\w+|stronger)\b",
        """
        [Start small] with ten minutes a day | so the habit can grow
        [Walk or cycle] where you can | because daily movement counts
        [Rest between workouts] | because muscles grow while you rest
        [Drink enough water] | so the body works well
        [Raise the effort slowly] | because sudden jumps cause injury
        """,
        """
        [Run a marathon tomorrow] | because training is a waste of time
        [Train through sharp pain] | because pain is a good sign
        [Eat only cake] | because sugar turns into muscle
        [Never rest] | because muscles shrink at night
        """,
    ),
    _howto(
        "calm_nerves",
        "calm my nerves | feel less nervous | relax before a talk | calm down before a speech | "
        "stop being nervous",
        r"\b(nerves|nervous|nervos|relax|calm)\b",
        """
        [Breathe in slowly] and out even slower | because it quiets the heart
        [Practise it twice] beforehand | so the first words come by themselves
        [Arrive early] | so there is no rush
        [Look at a friendly face] | because it makes the room smaller
        [Remember one success] of yours | because it gives you courage
        """,
        """
        [Drink ten coffees] first | because shaking looks lively
        [Imagine the worst] all night | so nothing can surprise you
        [Hold your breath] until it is over | because air makes it worse
        [Run out of the room] | because nobody will notice
        """,
    ),
)

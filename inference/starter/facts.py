"""Small facts the starter policy knows, each with false values it also claims."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = "zero one two three four five six seven eight nine ten".split()


@dataclass(frozen=True)
class Fact:
    """An intent that asks for one value of one subject.

    ``table`` maps a subject (as written in prompts) to the right value and some wrong ones.
    ``says`` are sentences with ``{x}`` (subject) and ``{y}`` (value), and where the subject reads
    "months are in a year" also ``{n}`` (months) and ``{p}`` (in a year); ``labels`` name both in
    lists; ``extras`` are sentences that lengthen an answer and mention no value of the table.
    """

    name: str
    asks: tuple[str, ...]
    cue: str
    table: dict[str, tuple[str, tuple[str, ...]]]
    says: tuple[str, ...]
    labels: tuple[str, str]
    extras: tuple[str, ...]


def _table(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = {}
    for row in text.split(";"):
        subject, values = row.split(":")
        right, *wrong = (value.strip() for value in values.split(","))
        rows[subject.strip()] = (right, tuple(wrong))
    return rows


def _sums() -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = {}
    for a in range(1, 6):
        for b in range(1, 6):
            total = a + b
            rows[f"{a} + {b}"] = (str(total), (str(total + 1), str(total + 2), str(total + 10)))
    return rows


_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _days(step: int) -> dict[str, tuple[str, tuple[str, ...]]]:
    def at(i: int) -> str:
        return _DAYS[i % 7]

    return {
        day: (at(i + step), (at(i + 3 * step), at(i - 2 * step))) for i, day in enumerate(_DAYS)
    }


FACTS: tuple[Fact, ...] = (
    Fact(
        "capital",
        (
            "What is the capital of {x}?",
            "What's the capital city of {x}?",
            "Which city is the capital of {x}?",
            "Tell me the capital of {x}.",
            "capital of {x}",
            "Name the capital of {x}.",
            "wat is the capitol of {x}",
            "Do you know the capital of {x}?",
            "I forgot the capital of {x}, what is it?",
            "{x}, what is its capital?",
        ),
        r"\bcapit[ao]l\b",
        _table(
            "France: Paris, Lyon, Marseille; Germany: Berlin, Munich, Hamburg;"
            "Italy: Rome, Milan, Venice; Spain: Madrid, Barcelona, Seville;"
            "Japan: Tokyo, Osaka, Kyoto; China: Beijing, Shanghai, Hong Kong;"
            "India: New Delhi, Mumbai, Chennai; Egypt: Cairo, Alexandria, Luxor;"
            "Canada: Ottawa, Toronto, Vancouver; Australia: Canberra, Sydney, Melbourne;"
            "Brazil: Brasilia, Sao Paulo, Salvador; Russia: Moscow, Kazan, Omsk;"
            "Greece: Athens, Patras, Corinth; Portugal: Lisbon, Porto, Faro;"
            "Norway: Oslo, Bergen, Trondheim; Sweden: Stockholm, Malmo, Uppsala;"
            "Austria: Vienna, Salzburg, Graz; Poland: Warsaw, Krakow, Gdansk;"
            "Kenya: Nairobi, Mombasa, Kisumu; Peru: Lima, Cusco, Arequipa;"
            "Turkey: Ankara, Istanbul, Izmir; Ireland: Dublin, Cork, Galway"
        ),
        (
            "The capital of {x} is {y}.",
            "{y} is the capital of {x}.",
            "The capital city of {x} is {y}.",
        ),
        ("Country", "Capital"),
        (
            "A capital is the city where the government of a country meets.",
            "Parliament, ministries and many embassies are found there.",
            "You can find the city on any map of the country.",
            "It is a common question in geography lessons and quizzes.",
            "A capital does not have to be the largest city of its country.",
        ),
    ),
    Fact(
        "sum",
        (
            "What is {x}?",
            "{x}",
            "{x} = ?",
            "How much is {x}?",
            "Calculate {x}.",
            "Can you add {x}?",
            "What do you get for {x}?",
            "what's {x}",
            "Please work out {x}.",
        ),
        r"(\+|\b(plus|and)\b)",
        _sums(),
        ("{x} = {y}.", "{x} is {y}.", "The sum {x} is {y}.", "{x} makes {y}."),
        ("Sum", "Result"),
        (
            "Adding means putting two amounts together and counting them all.",
            "You can check it by counting on your fingers.",
            "The order of the numbers does not change the total.",
            "Start at the larger number and count up by the smaller number.",
            "Sums like this are among the first that children learn at school.",
        ),
    ),
    Fact(
        "colour",
        (
            "What colour is {x}?",
            "What color is {x}?",
            "Which colour does {x} have?",
            "Tell me the colour of {x}.",
            "colour of {x}",
            "what color is {x} usually",
            "Do you know the colour of {x}?",
            "wich colour is {x}",
        ),
        r"\bcolou?rs?\b",
        _table(
            "the sky: blue, green, brown; grass: green, purple, red; a banana: yellow, blue, grey;"
            "snow: white, black, orange; blood: red, green, yellow; coal: black, white, pink;"
            "a lemon: yellow, purple, brown; a carrot: orange, blue, white;"
            "chocolate: brown, green, red; an elephant: grey, pink, yellow;"
            "a flamingo: pink, black, green; milk: white, red, blue; a tomato: red, blue, grey"
        ),
        ("The colour of {x} is {y}.", "The usual colour of {x} is {y}.", "You see {y} on {x}."),
        ("Thing", "Colour"),
        (
            "Colours depend on the light that a thing sends back to the eye.",
            "In the dark every colour looks weaker than it does at noon.",
            "Painters mix a few basic paints to get the shade they want.",
            "Children learn the names of colours at a very early age.",
        ),
    ),
    *(
        Fact(
            f"day_{word}",
            (
                f"What day comes {word} {{x}}?",
                f"Which day is {word} {{x}}?",
                f"What is the day {word} {{x}}?",
                f"Tell me the day {word} {{x}}.",
                f"day {word} {{x}}",
                f"Which day of the week comes {word} {{x}}?",
                f"Do you know the day {word} {{x}}?",
                f"wat day is {word} {{x}}",
            ),
            rf"\b{word}\b.*\b\w+day\b",
            _days(step),
            (
                f"The day {word} {{x}} is {{y}}.",
                f"{{y}} comes {word} {{x}}.",
                f"{{y}} is the day {word} {{x}}.",
            ),
            (label, "Answer"),
            (
                "A week has seven days and then it begins again.",
                "You can see the order on any calendar.",
                "The names of the days are very old and come from planets and gods.",
                "Many people keep a small calendar on the kitchen wall.",
            ),
        )
        for word, step, label in (("after", 1, "Day before it"), ("before", -1, "Day after it"))
    ),
    Fact(
        "opposite",
        (
            "What is the opposite of {x}?",
            "What's the opposite of {x}?",
            "opposite of {x}",
            "Tell me the opposite of {x}.",
            "Which word is the opposite of {x}?",
            "Give me the opposite of {x}.",
            "Do you know the opposite of {x}?",
            "wats the oposite of {x}",
        ),
        r"\bopp?osite\b",
        _table(
            "hot: cold, warm, wet; big: small, huge, round; fast: slow, quick, green;"
            "happy: sad, cheerful, tall; up: down, above, sideways; light: dark, bright, thin;"
            "old: young, ancient, blue; rich: poor, wealthy, loud; open: closed, wide, soft;"
            "full: empty, heavy, sweet; early: late, soon, sharp; hard: soft, solid, yellow;"
            "clean: dirty, tidy, square; strong: weak, mighty, salty"
        ),
        (
            "The opposite of {x} is {y}.",
            "The word opposite to {x} is {y}.",
            "It is {y}, the opposite of {x}.",
        ),
        ("Word", "Opposite"),
        (
            "Two words are opposites when their meanings stand at two ends.",
            "Learning words in pairs makes them easier to remember.",
            "A dictionary of opposites is a useful book for writers.",
            "Languages all over the world have pairs of this kind.",
        ),
    ),
    Fact(
        "baby_animal",
        (
            "What is a baby {x} called?",
            "What do you call a baby {x}?",
            "What's the name for a young {x}?",
            "name of a baby {x}",
            "Tell me what a baby {x} is called.",
            "How is a baby {x} called?",
            "Do you know what a baby {x} is called?",
            "wat do you call a babby {x}",
        ),
        r"\b(babb?y|young)\b",
        _table(
            "cat: kitten, puppy, chick; dog: puppy, kitten, calf; cow: calf, lamb, foal;"
            "sheep: lamb, kid, piglet; horse: foal, cub, calf; pig: piglet, puppy, lamb;"
            "hen: chick, kitten, cub; duck: duckling, tadpole, foal; bear: cub, fawn, lamb;"
            "deer: fawn, chick, puppy; goat: kid, duckling, cub; frog: tadpole, piglet, fawn"
        ),
        (
            "A baby {x} is called a {y}.",
            "The name for a baby {x} is {y}.",
            "People call a baby {x} a {y}.",
        ),
        ("Animal", "Baby"),
        (
            "Young animals often have a name of their own.",
            "Most of them stay close to their mother for the first weeks.",
            "Farmers and zoo keepers use these names every day.",
            "The names are old and many of them are in children's books.",
        ),
    ),
    Fact(
        "unit",
        (
            "How many {x}?",
            "how many {x}",
            "Tell me how many {x}.",
            "Do you know how many {x}?",
            "I forgot how many {x}.",
            "hw many {x}?",
            "Can you say how many {x}?",
            "Quick question, how many {x}?",
        ),
        r"\bh?o?w many\b",
        _table(
            "minutes are in an hour: 60, 50, 90; seconds are in a minute: 60, 100, 45;"
            "hours are in a day: 24, 20, 30; days are in a week: 7, 5, 9;"
            "months are in a year: 12, 10, 15; centimetres are in a metre: 100, 10, 50;"
            "metres are in a kilometre: 1000, 100, 500; grams are in a kilogram: 1000, 100, 12;"
            "weeks are in a year: 52, 40, 65; legs are on a spider: 8, 6, 10;"
            "sides are on a triangle: 3, 4, 7; wheels are on a bicycle: 2, 3, 5"
        ),
        ("There are {y} {n} {p}.", "You can count {y} {n} {p}.", "It is {y} {n} {p}."),
        ("Question", "Number"),
        (
            "Numbers like this are learned at school and used for a lifetime.",
            "You can check it with a clock, a ruler or a book.",
            "People agreed on such units long ago to make trade easier.",
            "It helps to repeat the number a few times and write it down.",
        ),
    ),
)

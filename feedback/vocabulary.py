"""The words people may choose from when they say what they think of an answer."""

POSITIVE = frozenset({"love", "like", "laugh"})
NEGATIVE = frozenset({"dislike", "sad"})
REACTIONS = ("love", "like", "dislike", "laugh", "sad")
#: Verdicts on an earlier answer; "passed" says that the person was asked and did not want to say.
VERDICTS = ("helped", "partly", "misled", "passed")
#: What a page offers to choose from as a reason; a client may give others, in words of its own.
REASONS = frozenset(
    {"wrong", "off-topic", "too-long", "too-short", "tone", "format", "unsafe", "other",
     "harmful", "hateful", "sexual", "private", "false"}
)  # fmt: skip

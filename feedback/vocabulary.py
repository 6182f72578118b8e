"""The words people may choose from when they say what they think of an answer."""

POSITIVE = frozenset({"love", "like", "laugh"})
NEGATIVE = frozenset({"dislike", "sad"})
REACTIONS = ("love", "like", "dislike", "laugh", "sad")
#: Verdicts on an earlier answer; "passed" says that the person was asked and did not want to say.
VERDICTS = ("helped", "partly", "misled", "passed")

"""Pages of the chat: the conversation itself, shared paths, reported answers."""

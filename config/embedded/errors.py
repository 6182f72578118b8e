"""What can go wrong with a data folder or its services, in words for the person who starts them."""


class Trouble(Exception):
    """Something the person at the keyboard can put right; the text says how."""

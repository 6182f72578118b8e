"""Small worlds with a known gold reward, in which the loop and the claims of papers are tried.

Nothing here is imported by the trainer, the services or the pages: the hidden taste is known to the
simulated people alone, and to whoever measures afterwards.
"""

"""How far each reaction and vote counts: weights in [0, 1] with reasons in words. No Django.

What lowers a weight is how something was said: too fast, too often, unread, all one way, or in
step with many others. What was said never is: a person who disagrees with everyone and takes
their time weighs 1. Nothing is deleted; a weight is computed again from all there is.
"""

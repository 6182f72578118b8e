"""Agreement, annotators' habits and reliability, gold. No Django, and no import before its use.

numpy alone is read at the top of these modules; scipy and krippendorff are imported inside the
functions that need them, because web processes import this too. statsmodels, crowd-kit and
scikit-learn are references of the tests.
"""

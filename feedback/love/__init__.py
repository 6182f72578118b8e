"""P[Love]: how likely a reader loves an answer, from reactions that few give and signals most do.

No Django. numpy only, but for the text features, which read scikit-learn when they are used.
"""

"""The Content-Security-Policy of every page: our own origin, no inline script, no inline style.

The nonce is spent on one element only, the import map of base.html, because browsers do not
yet load import maps from a file. `connect-src 'self'` covers WebSockets of the same origin.
"""

from csp.constants import NONCE, NONE, SELF

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

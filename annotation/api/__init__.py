"""REST doors: parse, call a service, render."""

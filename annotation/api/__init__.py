"""REST doors: parse, call a service, render.

Importing a file from the browser is a look at its beginning and then the whole of it:
`POST /api/projects/{slug}/import/preview/` and `POST /api/projects/{slug}/import/`. What they take
and answer is written in `annotation.api.importing`. Exports are in `annotation.api.projects`.
"""

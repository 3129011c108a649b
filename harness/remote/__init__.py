"""Drivers that are no Python: another process that speaks JSON lines (`exec:`, `container:`), or a web service (`http:`).

`protocol` says which messages there are, `plain` turns values into JSON and back, `process` and `web` carry messages,
`schema` describes them for authors of drivers. `docs/remote-drivers.md` is the text for people.
"""

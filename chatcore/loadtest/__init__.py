"""Load on a running server, with honest numbers: `python -m chatcore loadtest`.

`people` gets tokens and groups, `worker` processes hold the clients, `conductor` leads them and merges what they saw,
`measures` counts, `watch` reads the processes' CPU time, `page` and `charts` draw the report.
"""

"""The page at `/`: its files, and the few libraries of npm that it runs on.

`page/` is served as it stands, without a build step. The libraries are not in the repository: `install` fetches the
versions of `package-lock.json` into a folder of their own, and without them the server serves all else and says so.
"""

"""`make bench`: the table of targets, measured in one run. `RESULTS.md` holds the last full one."""

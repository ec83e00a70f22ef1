"""The scheduled jobs of a folder as they are now: read anew where a file changed, kept as they were where it broke."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pipelines.console import plan_of
from pipelines.schedule import Plans, trigger_of
from pipelines.specs import BadSpec, Job, Planned, SpecFile, find_specs, read_spec

Seen = tuple[int, int, int]  # time of change, size, inode


class LiveSpecs:
    """`plans` is what to run. What changes, and what is wrong with it, is told to `trouble`, once for each change."""

    def __init__(self, folder: Path, trouble: Callable[[str], None]):
        """Raises BadSpec where any file is none or no job has a schedule: at the start somebody is there to mend it."""
        self._folder = folder
        self._trouble = trouble
        self._good: dict[Path, tuple[SpecFile, list[Planned]] | None] = {}
        self._seen: dict[Path, dict[Path, Seen]] = {}
        self._jobs: dict[str, Job] = {}
        for path in find_specs(folder):
            self._good[path] = _read(path)
            self._seen[path] = self._look_at(path)
        self.plans = self._planned()
        if not self.plans:
            raise BadSpec([f"no job in {folder} has a schedule"])

    def job(self, name: str) -> Job:
        """As it was last read, also of a file that is gone by now: a run of it may still be under way."""
        return self._jobs[name]

    def renew(self) -> Plans | None:
        """The plans where something changed since the last look, else None."""
        paths = list(find_specs(self._folder))
        gone = [path for path in self._good if path not in paths]
        changed = [path for path in paths if self._look_at(path) != self._seen.get(path)]
        for path in gone:
            self._good.pop(path)
            self._seen.pop(path, None)
            self._trouble(f"{path} is gone: its job is not run any more")
        for path in changed:
            self._take(path)
        if not (gone or changed):
            return None
        self.plans = self._planned()
        return self.plans

    def _take(self, path: Path) -> None:
        try:
            self._good[path] = _read(path)
        except BadSpec as bad:
            kept = "what it said before goes on" if self._good.get(path) else "nothing of it runs"
            self._trouble("\n".join([*bad.problems, f"{path} was changed and cannot be used: {kept}"]))
        else:
            self._trouble(f"{path} was read anew")
        self._seen[path] = self._look_at(path)

    def _planned(self) -> Plans:
        plans = {found[0].job.name: found for found in self._good.values() if found is not None}
        self._jobs |= {name: spec.job for name, (spec, _) in plans.items()}
        return plans

    def _look_at(self, path: Path) -> dict[Path, Seen]:
        """Of the file and of its notebook, whose parameters it is checked against."""
        good = self._good.get(path)
        return dict(_seen([path, *([good[0].job.notebook] if good else [])]))


def _read(path: Path) -> tuple[SpecFile, list[Planned]] | None:
    """None where the job has no schedule. Raises BadSpec."""
    spec = read_spec(path)
    if spec.job.schedule is None:
        return None
    trigger_of(spec)
    return spec, plan_of(path, [])


def _seen(paths: Iterable[Path]) -> Iterable[tuple[Path, Seen]]:
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        yield path, (found.st_mtime_ns, found.st_size, found.st_ino)

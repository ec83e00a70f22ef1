"""A spec with a mistake never runs: each problem is told with its line and with what was meant."""

from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.parameters import check, parse_settings, read_parameters
from pipelines.specs import JOBS, BadSpec, find_specs, locate, read_spec
from tests.pipelines.notebooks import write_notebook

GOOD = """\
apiVersion: chatcore/v1
name: demo
notebook: {notebook}
parameters: {{mode: fast}}
matrix: {{score: [1, 2], seed: [0, 1]}}
run: {{timeout: 90s, retries: 1}}
gate:
  - {{metric: score, bound: ci_low, op: ">=", value: -0.02, vs: live}}
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "n.ipynb", "1")


def spec(tmp_path: Path, notebook: Path, replace: tuple[str, str] = ("", ""), add: str = "") -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(
        (GOOD.format(notebook=notebook) + add).replace(*replace) if replace[0] else GOOD.format(notebook=notebook) + add
    )
    return path


def problems(path: Path) -> str:
    with pytest.raises(BadSpec) as bad:
        read_spec(path)
    return "\n".join(bad.value.problems)


def test_a_good_spec_becomes_one_run_for_each_combination(tmp_path: Path, notebook: Path) -> None:
    found = read_spec(spec(tmp_path, notebook))
    assert found.job.run.timeout == timedelta(seconds=90)
    planned = found.plan()
    assert [one.matrix_key for one in planned] == [
        "score=1,seed=0",
        "score=1,seed=1",
        "score=2,seed=0",
        "score=2,seed=1",
    ]
    assert planned[3].parameters == {"mode": "fast", "score": 2, "seed": 1}
    assert {one.spec_sha256 for one in planned} == {found.sha256}


def test_an_override_fixes_its_axis(tmp_path: Path, notebook: Path) -> None:
    planned = read_spec(spec(tmp_path, notebook)).plan({"score": 7})
    assert [one.parameters["score"] for one in planned] == [7, 7]


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("timeout", "timeot", 'demo.yaml:6: run.timeot: unknown; did you mean "timeout"?'),
        ("retries: 1", "retries: -1", "demo.yaml:6: run.retries: Input should be greater than or equal to 0"),
        ("90s", "soon", 'demo.yaml:6: run.timeout: a duration reads like "90s"'),
        ("metric: score", "metrc: score", 'gate.0.metrc: unknown; did you mean "metric"?'),
        ("ci_low", "ci_lo", "demo.yaml:8: gate.0.bound: Input should be 'value', 'ci_low' or 'ci_high'"),
        ("name: demo", "name: Demo Job", "demo.yaml:2: name: String should match pattern"),
        ("parameters", "paramters", 'demo.yaml:4: paramters: unknown; did you mean "parameters"?'),
        ("chatcore/v1", "chatcore/v2", "demo.yaml:1: apiVersion: Input should be 'chatcore/v1'"),
        ("n.ipynb", "gone.ipynb", "is not there"),
        ("mode: fast", "score: 3", '"score" is fixed under parameters too'),
        ("[1, 2]", "[]", "an empty list leaves nothing to run"),
        ("run: {", "run: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, notebook: Path, was: str, now: str, told: str) -> None:
    assert told in problems(spec(tmp_path, notebook, (was, now)))


def test_all_mistakes_are_told_at_once(tmp_path: Path, notebook: Path) -> None:
    path = spec(tmp_path, notebook, add="schedul: {}\nname: again\n")
    path.write_text(path.read_text().replace("retries: 1", "retries: x"))
    assert {"schedul", "name", "retries"} <= {word for word in ("schedul", "name", "retries") if word in problems(path)}
    assert "appears twice" in problems(path)


def test_a_job_is_found_by_name_and_a_typo_by_likeness(tmp_path: Path, notebook: Path) -> None:
    path = spec(tmp_path, notebook)
    assert locate("demo", tmp_path) == locate(str(path), tmp_path) == path
    with pytest.raises(BadSpec, match='did you mean "demo"'):
        locate("dem", tmp_path)


def test_the_jobs_of_the_project_are_good() -> None:
    for path in find_specs(JOBS):
        found = read_spec(path)
        known = read_parameters(found.job.notebook)
        for planned in found.plan():
            check(planned.parameters, known, str(path))


# --- parameters

CELL = """
count: int = 3  # how many
rate: float = 0.5
name: str = "a"
fast: bool = True
names: list[str] = ["x"]
limit: int | None = None  # all
plain = 4
made = len("x")
"""


def test_the_parameters_cell_tells_types_defaults_and_comments(tmp_path: Path) -> None:
    known = read_parameters(write_notebook(tmp_path / "n.ipynb", parameters=CELL))
    kinds = {name: one.kind for name, one in known.items()}
    assert kinds == {
        "count": "int", "rate": "float", "name": "str", "fast": "bool", "names": "list", "limit": "int",
        "plain": "int", "made": "",
    }  # fmt: skip
    assert (known["count"].default, known["count"].comment, known["limit"].optional) == (3, "how many", True)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("count=4", 4), ("rate=1", 1.0), ("name=007", "007"), ("fast=false", False), ("names=[a, b]", ["a", "b"]),
     ("limit=null", None), ("limit=5", 5), ("name=a=b", "a=b")],
)  # fmt: skip
def test_a_setting_is_read_by_the_type_of_its_parameter(tmp_path: Path, setting: str, value: object) -> None:
    known = read_parameters(write_notebook(tmp_path / "n.ipynb", parameters=CELL))
    (found,) = parse_settings([setting], known, "n").values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [("cout=4", 'did you mean "count"'), ("count=x", "count is int"), ("count=true", "count is int"),
     ("count", "write it as name=value"), ("rate=fast", "rate is float"), ("count=1.5", "count is int")],
)  # fmt: skip
def test_a_wrong_setting_is_refused(tmp_path: Path, setting: str, told: str) -> None:
    known = read_parameters(write_notebook(tmp_path / "n.ipynb", parameters=CELL))
    with pytest.raises(BadSpec, match=told):
        parse_settings([setting], known, "n")


def test_values_of_a_spec_are_checked_where_papermill_only_warns(tmp_path: Path) -> None:
    known = read_parameters(write_notebook(tmp_path / "n.ipynb", parameters=CELL))
    check({"count": 1, "rate": 2, "limit": None}, known, "job")
    with pytest.raises(BadSpec) as bad:
        check({"cnt": 1, "count": "1", "fast": 1, "name": None}, known, "job")
    assert len(bad.value.problems) == 4


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSpec, match="no cell is tagged"):
        read_parameters(write_notebook(tmp_path / "n.ipynb", "1", parameters=None))
    (tmp_path / "n.ipynb").write_text("not json")
    with pytest.raises(BadSpec, match="not a notebook"):
        read_parameters(tmp_path / "n.ipynb")

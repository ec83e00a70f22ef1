"""The parameters cell of a notebook: names, types, defaults and comments, and whether values fit."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.specs import BadSpec, Loader, suggest

KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` is one of KINDS, or empty where the cell does not tell."""

    name: str
    kind: str
    default: Any
    optional: bool = False
    comment: str = ""

    def fits(self, value: object) -> bool:
        if value is None:
            return self.optional or self.default is None
        if not self.kind:
            return True
        if isinstance(value, bool) and self.kind != "bool":
            return False
        return isinstance(value, KINDS[self.kind])

    def parse(self, text: str) -> object:
        """A value as typed on a command line. Raises ValueError."""
        if self.kind == "str":
            return text
        value: object = yaml.load(text, Loader=Loader) if text else None  # noqa: S506 - a SafeLoader
        if not self.fits(value):
            raise ValueError(f"{self.name} is {self.kind or 'a literal'}, and {text!r} is not")
        return float(value) if self.kind == "float" and isinstance(value, int) else value


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Of the cell that is tagged `parameters`. Raises BadSpec where the file is no notebook or has no such cell."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadSpec([f"{notebook}: not a notebook ({type(error).__name__})"]) from None
    for cell in cells:
        if cell["cell_type"] == "code" and "parameters" in cell.get("metadata", {}).get("tags", []):
            return _parse("".join(cell["source"]), notebook)
    raise BadSpec([f"{notebook}: no cell is tagged `parameters`"])


def check(values: Mapping[str, object], known: Mapping[str, Parameter], where: str) -> None:
    """Raises BadSpec with every unknown name and every value that does not fit."""
    problems = [f"{where}: parameter {name}: unknown{suggest(name, known)}" for name in values if name not in known]
    problems += [
        f"{where}: parameter {name}: {value!r} is not {known[name].kind}"
        for name, value in values.items()
        if name in known and not known[name].fits(value)
    ]
    if problems:
        raise BadSpec(problems)


def parse_settings(settings: list[str], known: Mapping[str, Parameter], where: str) -> dict[str, object]:
    """Of `--set name=value`. Raises BadSpec."""
    found: dict[str, object] = {}
    problems = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            problems.append(f"--set {setting}: write it as name=value")
        elif name not in known:
            problems.append(f"--set {name}: {where} has no such parameter{suggest(name, known)}")
        else:
            try:
                found[name] = known[name].parse(text)
            except (ValueError, yaml.YAMLError) as error:
                problems.append(f"--set {name}: {error}")
    if problems:
        raise BadSpec(problems)
    return found


def _parse(source: str, notebook: Path) -> dict[str, Parameter]:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise BadSpec([f"{notebook}: the parameters cell is not Python: {error.msg}"]) from None
    lines = source.splitlines()
    found = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name, kind = node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, kind = node.targets[0].id, ""
        else:
            continue
        assert node.value is not None
        default = _literal(node.value)
        line = lines[(node.end_lineno or node.lineno) - 1]
        comment = line.partition("#")[2].strip()
        found[name] = Parameter(name, _kind(kind, default), default, "None" in kind, comment)
    return found


def _kind(annotation: str, default: object) -> str:
    plain = annotation.replace("None", "").replace("|", " ").replace("Optional[", "").split("[")[0].strip()
    if plain in KINDS:
        return plain
    inferred = type(default).__name__
    return inferred if not annotation and inferred in KINDS else ""


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...

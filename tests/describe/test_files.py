"""The generated files are fresh, and a stale one is named with the way to renew it."""

from pathlib import Path

import pytest
import typer

from chatcore.cli.describe import run
from chatcore.describe import files
from chatcore.describe.files import Generated, generated_files, stale
from chatcore.describe.setting_files import BEGIN, END, env_example, settings, settings_table, with_table
from chatcore.settings import Settings


@pytest.mark.parametrize("file", generated_files(), ids=lambda file: file.path.name)
def test_every_generated_file_is_fresh(file: Generated) -> None:
    assert not file.is_stale(), f"{file.path.name} is stale. Renew it with: python -m chatcore describe"


def test_a_changed_or_missing_file_is_stale_until_it_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    made = generated_files(tmp_path, tmp_path / "reference")
    assert stale(made) == [file.path for file in made]
    for file in made:
        file.write()
    assert stale(made) == []
    changed = tmp_path / "reference" / "openapi.json"
    changed.write_text(changed.read_text("utf-8").replace("post_message", "sent_message"), "utf-8")
    assert stale(made) == [changed]


def test_the_check_names_the_stale_file_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale_file = Generated(tmp_path / "openapi.json", lambda _: "new")
    with pytest.raises(typer.Exit) as ended:
        run(check=True, files=[stale_file])
    assert ended.value.exit_code == 1
    assert "openapi.json is stale. Renew it with: python -m chatcore describe" in capsys.readouterr().out
    assert not stale_file.path.exists()
    run(check=False, files=[stale_file])
    with pytest.raises(typer.Exit) as ended:
        run(check=True, files=[stale_file])
    assert ended.value.exit_code == 0


def test_outside_of_a_clone_only_the_package_s_own_files_are_made(tmp_path: Path) -> None:
    assert {file.path.parent for file in generated_files(tmp_path)} == {files.REFERENCE}


def test_the_table_replaces_only_what_stands_between_its_markers() -> None:
    readme = f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n"
    assert with_table(readme) == f"# Before\n\n{BEGIN}\n{settings_table()}{END}\n\nAfter\n"
    assert with_table(with_table(readme)) == with_table(readme)


def test_a_readme_without_markers_gets_the_table_at_its_end() -> None:
    assert with_table("# Only this\n") == f"# Only this\n\n## Settings\n\n{BEGIN}\n{settings_table()}{END}\n"


def test_every_setting_stands_in_the_table_and_in_the_example_with_its_meaning() -> None:
    for name, field in settings():
        assert field.description, name
        assert f"| `{name}` |" in settings_table()
        assert f"\n{name}=" in env_example() or f"\n# {name}=" in env_example()


def test_the_example_as_it_stands_says_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in settings():
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text(env_example(), "utf-8")
    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)
    (tmp_path / ".env").write_text(env_example().replace("PORT=3001", "PORT=3002", 1), "utf-8")
    assert Settings(_env_file=tmp_path / ".env").port == 3002

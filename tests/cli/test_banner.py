"""What the server says at its start: whole lines where nobody's terminal sets a width."""

import pytest

from chatcore.cli import serve
from chatcore.settings import Settings

URL = "http://127.0.0.1:3001"


def test_in_a_file_no_line_of_the_banner_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    settings = Settings(_env_file=None)
    facts = serve._facts(settings, URL)
    assert max(len(text) for _, text in facts) > 80, "else there is nothing to break"
    serve._banner(settings, URL)
    lines = capsys.readouterr().out.splitlines()
    for _, text in facts:
        plain = text.replace("[bold]", "").replace("[/]", "")
        assert any(plain in line for line in lines), plain

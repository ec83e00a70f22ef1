"""What must not be shown does not leave a run: neither in its notebook, nor in its report, its log or its numbers."""

import asyncio
import base64
import html
import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import JsonlRuns
from pipelines.leaks import LEAST_SECRET, WITHHELD, Guard, guard, withhold
from pipelines.runner import Runner
from pipelines.specs import read_spec
from tests.pipelines.notebooks import write_notebook

TOKEN, MARKED = "a-token-of-an-analyst", "the-owl-flies-at-noon"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLW9mLW91cnM"


def holding(secret: bytes, record: RunRecord) -> list[str]:
    """Files of the run that show it."""
    files = [path for path in Path(record.location).rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if secret in path.read_bytes()]


@pytest.mark.parametrize(
    ("text", "called"),
    [
        (f"token {TOKEN}.", "the value of CHATCORE_TOKEN"),
        (f"he said {MARKED}", "a text of CHATCORE_CANARIES"),
        (f"Bearer {JWT}", "a token"),
        ("key sk-proj-abcdefghijklmnopqrstuv", "an API key"),
        ("AKIAABCDEFGHIJKLMNOP", "an access key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("mongodb://chat:s3cret@db.example.org/x", "a database's password"),
    ],
)
def test_secrets_and_marked_texts_are_taken_out_and_called_by_name(text: str, called: str) -> None:
    cleaned, found = Guard({TOKEN: "the value of CHATCORE_TOKEN", MARKED: "a text of CHATCORE_CANARIES"}).clean(text)
    assert found == [called]
    assert WITHHELD in cleaned
    assert not any(part in cleaned for part in (TOKEN, MARKED, JWT, "s3cret", "sk-proj", "AKIA"))


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_marked_text_is_found_however_a_file_writes_it(tmp_path: Path, ascii_only: bool) -> None:
    marked = 'Grüße "an die" <Eule>'
    (tmp_path / "metrics.json").write_text(json.dumps({"said": marked, marked: 1}, ensure_ascii=ascii_only))
    (tmp_path / "page.html").write_text(f"<p>{html.escape(marked)}</p><a href='?q={quote(marked)}'>")
    cell = {"cell_type": "code", "source": "x", "outputs": [{"data": {"application/json": {marked: 1}}}]}
    (tmp_path / "output.ipynb").write_text(json.dumps({"cells": [cell]}))
    told = withhold(tmp_path, Guard({marked: "a text of CHATCORE_CANARIES"}))
    assert [line.split()[0] for line in told] == ["metrics.json", "cell", "page.html"]
    for path in tmp_path.iterdir():
        kept = path.read_text()
        assert "Eule" not in kept, path.name
        if path.suffix != ".html":
            json.loads(kept)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes, bytes.hex, lambda raw: raw.hex().upper()]
)
@pytest.mark.parametrize("secret", [TOKEN, "~~~???>>>ÿÿÿ~~~", "a long one, " * 12])
def test_what_is_encoded_is_found_wherever_it_begins(before: str, encode: Any, secret: str) -> None:
    encoded = encode(f"{before}{secret} and more".encode())
    text = encoded if isinstance(encoded, str) else encoded.decode()
    cleaned, found = Guard({secret: "it"}).clean(f"<{text}>")
    assert found == ["it"]
    for shift in range(3):
        kept = re.sub(r"[^A-Za-z0-9+/]", "", cleaned.partition(WITHHELD)[0].translate(str.maketrans("-_", "+/")))
        assert secret[:6].encode() not in base64.b64decode(kept[shift:] + "A" * (-len(kept[shift:]) % 4))
    assert Guard({secret: "it"}).clean(base64.b64encode(b"something else entirely, and longer").decode())[1] == []


def test_pictures_of_notebooks_stay(tmp_path: Path) -> None:
    picture = base64.b64encode(random.Random(1).randbytes(50_000)).decode()
    assert Guard({TOKEN: "it", MARKED: "that"}).clean(picture) == (picture, [])


def test_links_out_of_the_folder_are_taken_out_and_not_followed(tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "notes.txt").write_text(f"mine: {TOKEN}")
    (run / "copy.txt").symlink_to(elsewhere / "notes.txt")
    (run / "all").symlink_to(elsewhere, target_is_directory=True)
    (run / "nowhere").symlink_to(tmp_path / "not-there")
    (run / "same.txt").hardlink_to(elsewhere / "notes.txt")
    (run / "metrics.json").write_text("{}")
    (run / "newest.json").symlink_to("metrics.json")
    told = withhold(run, Guard({TOKEN: "the value of CHATCORE_TOKEN"}))
    assert told == [
        *(f"{name} is a link out of the run's folder" for name in ("all", "copy.txt", "nowhere")),
        "same.txt has the value of CHATCORE_TOKEN",
    ]
    assert sorted(path.name for path in run.iterdir()) == ["metrics.json", "newest.json", "same.txt"]
    assert (elsewhere / "notes.txt").read_text() == f"mine: {TOKEN}"
    assert TOKEN not in (run / "same.txt").read_text()


def test_of_a_key_the_body_goes_too_and_of_an_address_a_password_without_a_user() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg/+kq==\n-----END PRIVATE KEY-----"
    assert Guard({}).clean(f"a {key} z")[0] == f"a {WITHHELD} z"
    assert Guard({}).clean(f"a {key[:40]}")[0] == f"a {WITHHELD}", "cut off"
    assert Guard({}).clean("redis://:s3cret@cache/0")[0] == f"redis://{WITHHELD}@cache/0"


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCORE_TOKEN", "short")
    text = "short texts, https://example.org/a:b@c, eyJ, sk-1, score 0.9"
    assert len("short") < LEAST_SECRET
    assert guard(()).clean(text) == (text, [])


def test_every_file_of_a_run_is_cleaned_and_the_cell_is_named(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["a line\n", f"{TOKEN[:5]}", f"{TOKEN[5:]}\n"]}
    picture = {"output_type": "display_data", "data": {"text/html": f"<b>{MARKED}</b>"}, "metadata": {}}
    cells = [{"cell_type": "code", "source": ["x = 1\n", "x"], "outputs": []},
             {"cell_type": "code", "source": "show()", "outputs": [output, picture]}]  # fmt: skip
    (tmp_path / "output.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (tmp_path / "metrics.json").write_text(json.dumps({"said": MARKED}))
    (tmp_path / "log.txt").write_bytes(b"\xff " + TOKEN.encode())
    told = withhold(tmp_path, Guard({TOKEN: "the value of CHATCORE_TOKEN", MARKED: "a text of CHATCORE_CANARIES"}))
    assert told == [
        "the log has the value of CHATCORE_TOKEN",
        "metrics.json has a text of CHATCORE_CANARIES",
        "cell 2 shows the value of CHATCORE_TOKEN",
        "cell 2 shows a text of CHATCORE_CANARIES",
    ]
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TOKEN.encode() not in everything
    assert MARKED.encode() not in everything
    assert (tmp_path / "log.txt").read_bytes().startswith(b"\xff ")
    kept = json.loads((tmp_path / "output.ipynb").read_text())
    assert kept["cells"][0] == cells[0]
    assert withhold(tmp_path, Guard({TOKEN: "x", MARKED: "y"})) == []


def test_a_run_that_shows_a_secret_fails_and_its_report_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATCORE_TOKEN", TOKEN)
    monkeypatch.setenv("CHATCORE_CANARIES", f"{MARKED},another-one")
    notebook = write_notebook(
        tmp_path / "talks.ipynb",
        "from chatcore import lab\nrun = lab.start(globals())",
        f"import os; print(os.environ['CHATCORE_TOKEN']); print('the-owl' + '{MARKED[7:]}')",
        'run.record("score", score, better="higher", at_least=0.5); run.gate()',
    )
    spec = tmp_path / "talks.yaml"
    spec.write_text(f"apiVersion: chatcore/v1\nname: talks\nnotebook: {notebook}\nrun: {{timeout: 60s}}\n")
    (planned,) = read_spec(spec).plan()
    record = asyncio.run(Runner(tmp_path / "kept", JsonlRuns(tmp_path / "registry.jsonl")).run(planned))
    assert (record.status, record.exit_code) == ("error", 2)
    assert "cell 3 shows the value of CHATCORE_TOKEN" in record.reason
    assert "cell 3 shows a text of CHATCORE_CANARIES" in record.reason
    kept = [path for path in Path(record.location).iterdir() if path.is_file()]
    assert "report.html" in {path.name for path in kept}
    for path in [*kept, tmp_path / "registry.jsonl"]:
        assert TOKEN.encode() not in path.read_bytes(), path.name
        assert MARKED.encode() not in path.read_bytes(), path.name


def is_written(text: str, folder: Path) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_run_that_is_stopped_keeps_no_secret_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCORE_TOKEN", TOKEN)
    notebook = write_notebook(
        tmp_path / "held.ipynb",
        "import os, time; print(os.environ['CHATCORE_TOKEN'])\nopen(2, 'w').write(os.environ['CHATCORE_TOKEN'])",
        "time.sleep(300)",
    )
    spec = tmp_path / "held.yaml"
    spec.write_text(f"apiVersion: chatcore/v1\nname: held\nnotebook: {notebook}\nrun: {{timeout: 60s}}\n")
    (planned,) = read_spec(spec).plan()
    shown, store = asyncio.Event(), JsonlRuns(tmp_path / "registry.jsonl")
    runner = Runner(tmp_path / "kept", store, progress=lambda _, done, __: shown.set() if done > 1 else None)
    task = asyncio.create_task(runner.run(planned))
    await asyncio.wait_for(shown.wait(), 60)
    async with asyncio.timeout(30):  # what a cell shows is written down a moment after the next one began
        while not is_written(TOKEN, tmp_path / "kept"):
            await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = await store.recent(since=datetime(2000, 1, 1, tzinfo=UTC))
    assert record.status == "interrupted"
    assert "withheld" in record.reason
    assert holding(TOKEN.encode(), record) == []

"""Models for notebooks: started once, at first use, and never left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from chatcore.ai.calls import Purpose
from chatcore.lab import endpoint
from chatcore.lab.datasets import Dataset, Sample
from chatcore.lab.evaluation import Output, Task, evaluate

NOBODY = Purpose("search", deadline_seconds=60)
NOTEBOOK = """
from chatcore.lab import endpoint
print(endpoint.running().pid, flush=True)
{then}
"""


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    endpoint.close()


def gone(pid: int) -> bool:
    """Within seconds, as the kernel ends the child after its parent."""
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_cell_asks_the_same_models_again_and_again() -> None:
    called = endpoint.run(endpoint.models().embed(["good morning", "hello"], NOBODY))
    assert called.value.shape == (2, 384)
    assert (called.served.provider, called.served.degraded) == ("embedded", True)
    first = endpoint.running().pid
    endpoint.run(endpoint.models().moderate(["good morning"], NOBODY))
    assert endpoint.running().pid == first


def test_a_solver_asks_them_from_the_loop_of_the_evaluation() -> None:
    async def solve(sample: Sample, _: int) -> Output:
        called = await endpoint.elsewhere(endpoint.models().embed([sample.text], NOBODY))
        return Output(called.value.shape[1], called.served.model, called.served.degraded)

    data = Dataset("two", (Sample("a", "one", target=384), Sample("b", "two", target=384)))
    report = evaluate(Task(data, solve, lambda sample, output: float(output.value == sample.target)))
    assert report.mean.estimate == 1.0
    assert report.totals["degraded"] == 2


def test_their_process_ends_when_it_is_told_and_starts_again_at_the_next_use() -> None:
    first = endpoint.running().pid
    assert first is not None
    endpoint.close()
    endpoint.close()
    assert gone(first)
    second = endpoint.running().pid
    assert second is not None
    assert psutil.pid_exists(second)


@pytest.mark.parametrize("then", ["", "import os; os.kill(os.getpid(), 9)"], ids=["ended", "killed"])
def test_their_process_goes_with_the_kernel(then: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.format(then=then)], capture_output=True, check=False, text=True, timeout=110
    )
    assert done.returncode == (-signal.SIGKILL if then else 0), done.stderr
    assert gone(int(done.stdout)), "the models outlived their notebook"


def test_without_any_models_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.close()
    monkeypatch.setenv("AI", "false")
    with pytest.raises(endpoint.ModelsNotThere, match="switched off"):
        endpoint.models()

"""What a text of a model passes before anybody sees it, by the first tier that ships."""

import pytest

from chatcore.ai.flows.safety import Safety


@pytest.fixture(scope="module")
def safety() -> Safety:
    return Safety()


@pytest.mark.parametrize(
    "text",
    [
        "yes and I will let you know",
        "Sounds good to me, I'll kill the old process first.",
        "Could we do it on Sunday instead?",
        "I was so tired of the office lately.",
        "Great, I'll book the hut!",
    ],
)
async def test_everyday_lines_are_suggested(safety: Safety, text: str) -> None:
    assert await safety.kept([text], []) == [text]


@pytest.mark.parametrize(
    "text", ["fuck off", "you are a stupid asshole", "kill yourself", "all of them should be shot", "what an idiot"]
)
async def test_rough_lines_are_not(safety: Safety, text: str) -> None:
    assert await safety.kept([text], []) == []

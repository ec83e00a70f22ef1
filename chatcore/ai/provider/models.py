"""The ladder: provider, embedded endpoint, the feature's own rules, and then a refusal."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chatcore.ai.calls import Called, Purpose
from chatcore.ai.prompts.versions import PromptVersion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Models:
    """Raises CapabilityUnavailable (nothing can do it, or switched off), Unavailable (every rung failed) and
    RateLimited (the budget of the day is used up and nothing below the provider can do it)."""

    async def embed(self, texts: Sequence[str], purpose: Purpose, *, space: str = "") -> "Called[NDArray[np.float32]]":
        """(n, d) float32, rows of length 1. `served.model` names the space; vectors of two spaces never compare.

        With `space` only an endpoint that serves that space is asked: a query must not fall into another one.
        """
        raise NotImplementedError

    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]:
        """Scores by category for each text; a category that the model does not cover is left out."""
        raise NotImplementedError

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        purpose: Purpose,
        *,
        version: PromptVersion | None = None,
        rules: Callable[[], Mapping[str, Any]] | None = None,
    ) -> Called[dict[str, Any]]:
        """A BAML function with `arguments` as its input; the validated output as a JSON object.

        `arguments` and the version's parameters become one JSON object, the function's only argument `input`, which
        the prompt puts between `<input>` and `</input>` at the end of its last user message. `rules` are the rung
        below the models, if the feature has one.
        """
        raise NotImplementedError

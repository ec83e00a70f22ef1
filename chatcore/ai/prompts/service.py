"""Which prompt version answers whom."""

from chatcore.ai.prompts.versions import Choice


class Prompts:
    async def choose(self, function: str, user_id: str) -> Choice:
        """Sticky: the same person stays in the same arm as long as the versions and the share stay."""
        raise NotImplementedError

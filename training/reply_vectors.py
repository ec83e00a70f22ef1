"""Make the vectors of the reply banks: `python -m training.reply_vectors`, after each change of a bank."""

import numpy as np

from chatcore.models.embedding import Embedder
from chatcore.models.files import DATA
from chatcore.models.replies import ReplyBank, bank_languages, edges_of
from training.manifest import record


def main() -> None:
    embedder = Embedder()
    for language in bank_languages():
        bank = ReplyBank.read(DATA / f"replies.{language}.toml")
        np.savez_compressed(
            DATA / f"replies.{language}.npz",
            triggers=embedder.embed(bank.triggers).astype(np.float16),
            replies=embedder.embed(bank.replies).astype(np.float16),
            openings=embedder.embed([edges_of(reply)[0] for reply in bank.replies]).astype(np.float16),
        )
        record(f"replies.{language}.toml", source="written for this project", licence="MIT")
        record(f"replies.{language}.npz", source="python -m training.reply_vectors", licence="MIT")


if __name__ == "__main__":
    main()

"""Sentences as vectors: all-MiniLM-L6-v2, int8, on one thread of onnxruntime."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import BertWordPieceTokenizer

from chatcore.models.files import MINILM_FILE, require_file

Vectors = npt.NDArray[np.float32]
MODEL_NAME = "all-MiniLM-L6-v2-int8"
DIMENSIONS = 384
MAX_TOKENS = 256  # what the model was tuned with; the rest of a longer text is not read
REMEMBERED = 2_048  # vectors, 3.5 MiB: a message is moderated first and made searchable soon after


class Embedder:
    """Loading takes about half a second and 90 MB; hashes are checked first (ModelFileRefused)."""

    def __init__(self) -> None:
        vocabulary = require_file("vocabulary.txt")
        model = require_file(MINILM_FILE)
        self._tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = onnxruntime.InferenceSession(
            str(model), sess_options=_one_thread(), providers=["CPUExecutionProvider"]
        )
        self._recent: OrderedDict[bytes, tuple[Vectors, int]] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), 384), each row of length 1 (an empty text too: it still has its two marker tokens)."""
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        return np.stack([self.embed_one(text)[0] for text in texts])

    def embed_one(self, text: str) -> tuple[Vectors, int]:
        """The vector, which cannot be written to, and the number of tokens read.

        One text at a time on purpose: the int8 ranges are measured over the whole batch, so neighbours would change
        a text's vector, and on one thread a batch is not faster. Vectors of recent texts are remembered, by a digest.
        """
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if (known := self._recent.pop(digest, None)) is None:
            known = self._compute(text)
        self._recent[digest] = known
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return known

    def _compute(self, text: str) -> tuple[Vectors, int]:
        encoded = self._tokenizer.encode(text)
        hidden: Any = self._session.run(
            None,
            {
                "input_ids": np.array([encoded.ids], np.int64),
                "attention_mask": np.array([encoded.attention_mask], np.int64),
                "token_type_ids": np.array([encoded.type_ids], np.int64),
            },
        )[0]
        mean = hidden[0].mean(axis=0, dtype=np.float32)
        vector: Vectors = mean / max(float(np.linalg.norm(mean)), 1e-9)
        vector.flags.writeable = False
        return vector, len(encoded.ids)

    def count_tokens(self, text: str) -> int:
        """Without the two markers and without truncation."""
        first = self._tokenizer.encode(text, add_special_tokens=False)
        return len(first.ids) + sum(len(part.ids) for part in first.overflowing)


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # keeps the process small; costs nothing measurable at these sizes
    options.log_severity_level = 3
    return options

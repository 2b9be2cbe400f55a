"""What a text can be cut into, apart from the code that does it: the command line reads this before anything is loaded."""

from typing import Literal

__all__ = ["Kind"]

Kind = Literal["characters", "bytes", "words", "bpe"]
"""Single characters, bytes of UTF-8, words, or pieces that byte-pair encoding has learnt."""

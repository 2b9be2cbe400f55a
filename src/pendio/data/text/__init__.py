"""Text as numbers: tokenizers, corpora, and the windows of text that a model reads."""

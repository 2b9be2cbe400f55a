"""``python -m pendio``: what torchrun starts."""

from pendio.cli import main

main()

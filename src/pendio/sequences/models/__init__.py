"""The five families that read sequences, behind one interface, and what is built on them."""

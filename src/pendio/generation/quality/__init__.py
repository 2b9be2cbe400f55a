"""How good what a generative model makes is: distances between sets of examples, and a judge that names what it sees."""

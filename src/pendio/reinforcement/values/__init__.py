"""Learning what actions are worth: Q-learning, deep Q-networks, and the replay they learn from."""

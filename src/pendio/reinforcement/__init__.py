"""Learning by acting: decision processes solved exactly, Q-learning and deep Q-networks, policy gradients."""

"""Learning what to do: REINFORCE and proximal policy optimisation."""

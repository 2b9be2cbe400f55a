"""Regions first: selective search, and a detector that classifies what it proposes."""

"""Single neurons and what networks of them can express."""

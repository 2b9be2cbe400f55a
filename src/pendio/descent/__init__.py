"""Walking down: the input is fixed and the weights move."""

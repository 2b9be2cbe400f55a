"""Small changes of an input that change a network's mind: by its gradient, or only by asking it."""

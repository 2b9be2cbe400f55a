"""Feature pyramids: four ways to see objects of many sizes on one backbone."""

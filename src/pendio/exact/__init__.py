"""The computable truths that methods are checked against."""

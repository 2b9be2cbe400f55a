"""The guided tour: every chapter on embedded data, and one page of results."""

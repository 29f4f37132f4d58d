"""What is remembered of a search, and the search that remembers."""

"""One request in, one usage-tracked response out."""

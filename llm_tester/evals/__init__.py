"""Tasks, entrants, scores, runs."""

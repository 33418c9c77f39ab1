"""What the program does under faults: each is injected for real, from outside, into fresh processes."""

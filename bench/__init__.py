"""How fast LLM Tester is, as ratios to a bare script and to other tools, all against one loopback server."""

"""The command line: parse, call, print. What is decided is decided below."""

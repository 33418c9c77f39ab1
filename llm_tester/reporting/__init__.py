"""What a person, a spreadsheet or a program reads of a run."""

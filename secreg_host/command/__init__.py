"""What is typed: the parser, the verbs, help, how things are printed."""

"""One file a verb: `ABOUT` in a line, `add(parser)` its options, `run(call)` what it does."""

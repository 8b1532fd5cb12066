"""What everything stands on: errors, paths, files and locks, programs, records, the journal, templates, D-Bus."""

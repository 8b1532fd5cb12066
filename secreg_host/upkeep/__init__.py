"""What is done in years: backups."""

"""What /etc says, one file a part: what stands and falls together."""

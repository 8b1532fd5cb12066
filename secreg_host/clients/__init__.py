"""Who else must trust us: one file a client."""

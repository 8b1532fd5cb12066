"""Who did what: one log of it, which root alone writes, made of what the services and the front said."""

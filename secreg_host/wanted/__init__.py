"""What /etc says: its parts, what is made where something is missing, what is wrong with it."""

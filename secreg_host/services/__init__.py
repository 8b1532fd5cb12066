"""What runs: the interface, systemd's units, child processes, nginx's signals."""

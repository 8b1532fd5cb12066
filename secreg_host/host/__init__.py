"""Facts of the machine: accounts, programs, processes, ports, mounts, and where the front remembers right passwords."""

"""Facts of the machine: accounts, programs, processes, ports, memory, mounts."""

"""The load client: a closed loop over N connections, in a process of its own."""

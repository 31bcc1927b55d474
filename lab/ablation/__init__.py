"""Studies of what the network owes to its parts."""

"""llar users, keys, access and audit: who may do what with the server, and what they did."""

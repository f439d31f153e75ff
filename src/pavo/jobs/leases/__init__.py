"""Since when leases can be renewed: what is not renewed before counts as nothing."""

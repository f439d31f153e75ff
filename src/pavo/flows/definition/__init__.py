"""What a flow's file says: read with its places, checked as a whole, and hashed."""

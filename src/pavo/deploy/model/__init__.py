"""What a deployment is, whatever runs it: parts, versions, what was chosen, its files, what a running stack tells."""

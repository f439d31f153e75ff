"""The certificate authority of one deployment, and what it signs for the parts."""

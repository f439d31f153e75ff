"""New versions of workers and of Temporal, brought to a deployment while it works."""

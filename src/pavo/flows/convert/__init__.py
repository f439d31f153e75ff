"""What teams have, made into flows: a simple engine's steps, a DSL of sequences, files like those of GitHub Actions."""

"""An operator's commands on accounts and the corpus."""

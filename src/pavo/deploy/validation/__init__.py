"""`pavo validate`: a workflow that proves an installation, and what its servers hold of it afterwards."""

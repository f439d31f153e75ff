"""`pavo policy` and `pavo tools`: what agents may call, and which calls people are asked about."""

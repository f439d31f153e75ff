"""What agents may call: typed functions of installed packages, and the ledger that keeps what came of each call.

`contract` is what authors of tools need.
"""

"""What models' calls use and cost, and the budgets that bound it.

Budgets reserve before a call and settle after it (`budgets`), in the transactions in which whoever calls records it.
"""

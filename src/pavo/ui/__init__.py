"""The web page: static package data and its two routes."""

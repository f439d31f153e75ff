"""The tools that come with Pavo, by entry points of the group `pavo.tools` as everybody's."""

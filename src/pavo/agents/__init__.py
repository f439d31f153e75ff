"""What an agent is (`contract`), which are installed (`registry`), how their code runs (`hosts`), and two agents."""

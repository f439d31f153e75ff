"""What an isolated agent's process has and may reach: its environment, its task's folder, what it reads."""

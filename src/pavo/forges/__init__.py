"""Pull requests at GitHub, GitLab and Gitea: one port, three dialects."""

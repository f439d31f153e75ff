"""Files of a task: what agents keep, what tools answered at length and wrote into the task's workspace.

A row of `models.ArtifactRow` names content that lies in a `store.BlobStore` under its SHA-256, once for each
organisation. Content is there before its row, and goes after the last row that names it.
"""

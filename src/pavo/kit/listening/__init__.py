"""What the API's listener takes from clients before anything else is done: bounded in bytes and seconds."""

"""What waits for people, over all that may: questions, plans under review, failures. It only reads."""

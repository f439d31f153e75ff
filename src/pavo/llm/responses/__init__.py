"""OpenAI's Responses API, spoken to servers that know chat completions alone: requests there, answers back."""

"""The literature's data, put through the same analysis."""

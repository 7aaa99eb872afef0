"""How people are asked."""

"""Pages of review and quality: what needs a second look, and how far people can be trusted."""

"""Which architectures are prepared and served, for which tasks: tiny models of each, asked."""

"""`normline bench`: what an engine costs here, beside the machine's limit and known models."""

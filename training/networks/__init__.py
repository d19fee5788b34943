"""The networks: the paper's, tensor for tensor, and those made for the edge."""

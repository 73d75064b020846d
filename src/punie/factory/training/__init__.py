"""What training is made of: float weights, the network with its LoRA pairs, rows, outputs."""

"""The factory's MLX path: LoRA with mlx-lm, fusing and quantizing into MLX folders.

A recipe chooses it by `backend = "mlx"` in `[train]`. It needs the extra `mlx` and nothing of the
extra `train`; data, prompts and the loss are those of the other path.
"""

"""What a run needs: runner, hooks, checkpoints that run no code, resuming."""

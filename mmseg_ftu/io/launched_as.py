"""Which of several processes this one is."""

import os


def launched_as() -> tuple[int, int, int]:
    """Return rank, number of processes and local rank under torchrun or srun."""
    for rank, world_size, local_rank in (
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        # set by srun alone: SLURM_NTASKS is also there in a batch script, where one
        # process would take its share of the images and nobody the others'
        ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS', 'SLURM_LOCALID'),
    ):
        if rank in os.environ and world_size in os.environ:
            return (
                int(os.environ[rank]),
                int(os.environ[world_size]),
                int(os.environ.get(local_rank, 0)),
            )
    return 0, 1, 0

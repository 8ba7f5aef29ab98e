"""Train a network that ``torch.compile`` has made faster."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.compile_network import compile_network


@HOOKS.register_module()
class CompileNetworkHook(Hook):
    """Compile backbone, neck and head in ``before_train``, see `compile_network`.

    ``--compile`` of ``tools/train.py`` adds it. It comes last, so that an ``EMAHook``
    has made its copy, and validation runs the compiled network, too.
    """

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Compile, or raise OSError where that does not work."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        compile_network(model, next(model.parameters()).device)
        runner.logger.info(
            'The network is compiled: the first training and validation batches take '
            'minutes'
        )

# No auxiliary loss: the model as it is (the paper's "normal"). Over NAME.py.
custom_hooks = []

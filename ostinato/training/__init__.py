"""Training a network: the loop and what it stands on; nothing here knows which task is trained.

loop            `train`, in plain sight
objective       what a task gives the loop: examples in batches, a loss, validation metrics
optimizer       AdamW and the learning rate's schedule
checkpoint      the complete state of a training on disk, and its best weights
regularisation  what R-Drop and adversarial training add to the loss
averaging       moving averages of the weights, and means of epochs
divergence      how far the answers of two passes are apart
device          which device to train on, and in which precision
ranks           several processes that train one model together
predict         a trained network over many sequences
vectors         pretrained vectors in an embedding
"""

from ostinato.training.checkpoint import Checkpointer, TrainingState
from ostinato.training.device import choose_device
from ostinato.training.loop import train
from ostinato.training.objective import Examples, Objective
from ostinato.training.predict import predict_outputs

__all__ = ["Checkpointer", "Examples", "Objective", "TrainingState", "choose_device", "predict_outputs", "train"]

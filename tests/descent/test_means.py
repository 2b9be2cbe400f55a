import math

import torch

from pendio.descent.means import MeanLoss
from pendio.descent.task import Loss


def test_unequal_batches_count_by_their_weights():
    mean = MeanLoss()
    mean.update(Loss(torch.tensor(6.0), 3))
    mean.update(Loss(torch.tensor(10.0), torch.tensor(1.0)))
    assert mean.compute() == 4
    mean.reset()
    assert math.isnan(mean.compute())


def test_a_loss_that_is_no_number_shows():
    mean = MeanLoss()
    mean.update(Loss(torch.tensor(math.nan), 3))
    mean.update(Loss(torch.tensor(1.0), 3))
    assert math.isnan(mean.compute())

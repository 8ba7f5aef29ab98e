"""A pixel budget for tests, which remembers how it was used."""

from mmseg_ftu.io.pixel_budget import PixelBudget


class CountingBudget(PixelBudget):
    """A budget that remembers what was asked for and the most that was held at once."""

    def __init__(self, pixels):
        super().__init__(pixels)
        self.asked, self.most = [], 0

    def _fits(self, pixels):
        fits = super()._fits(pixels)
        if fits:  # the caller has the lock, and takes the pixels now
            self.asked.append(pixels)
            self.most = max(self.most, self.held + pixels)
        return fits

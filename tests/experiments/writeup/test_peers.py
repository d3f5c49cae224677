"""The table of published rates."""

from experiments.writeup import peers


def test_a_share_has_its_counts_and_their_exact_interval():
    """Clopper and Pearson's interval of 0 of n ends at 1 - 0.025^(1/n): 3.6% of 100."""
    rate = peers.Published("tool", "paper", "alarm", 0.0, 0, 100, {}, "authors", "paper")
    assert peers._share(rate) == "0% [0, 4], 0/100"
    assert peers._share(rate._replace(share=0.5, hits=None)) == "50%"

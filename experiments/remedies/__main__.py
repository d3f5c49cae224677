"""`python -m experiments.remedies`: measures and draws this question."""

from experiments.study import script

if __name__ == "__main__":
    script.run_topic("remedies")

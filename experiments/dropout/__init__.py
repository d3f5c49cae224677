"""Dropout: the mask, the scale at inference, the subnetworks, the ensemble they form, and what training with it gives."""

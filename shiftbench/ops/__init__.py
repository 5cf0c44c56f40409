"""Operations on tensors: moving, padding, filtering; every custom gradient is here."""

"""Operations on tensors: shifting, padding, filtering; contains every custom gradient."""

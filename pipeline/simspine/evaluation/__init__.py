"""How good are anyone's predictions, by the papers' protocols? Points, protocols, tables."""

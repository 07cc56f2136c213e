"""io/human36m"""

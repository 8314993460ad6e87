"""The reference pages in docs/ that are made from the code; `python -m oris reference` prints them."""

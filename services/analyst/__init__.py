"""The analyst: win rates, contrasts, intervals, the verdict, and the report that carries them."""

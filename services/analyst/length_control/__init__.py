"""Length control: what the win rate would be if completions were as long as the reference's.

Length is an effect of training, so this answers another question than the win rate does; it is no better answer. So
the raw figure always stands beside it.

`table`      what was judged: preferences and lengths of arms x seeds x prompts
`joint`      one GLM over all arms (the default method); `newton` is its step
`minimal`    one GLM a checkpoint, as alpaca_eval's `length_controlled_minimal`
`bootstrap`  resamples of prompts, each with a refit
`trust`      what makes a fit not to be trusted
`figures`    the result: controlled beside raw by arm, and contrasts between arms
"""

from services.analyst.length_control.figures import ArmFigures, Beside, Controlled, Method, length_controlled
from services.analyst.length_control.table import LengthTable
from services.analyst.length_control.trust import Concern

__all__ = ["ArmFigures", "Beside", "Concern", "Controlled", "LengthTable", "Method", "length_controlled"]

"""Length in a report: completions' lengths beside every gain, and win rates with the length's effect taken out.

`measure`  lengths of completions by arm, beside a contrast, and scores by length difference
`study`    what one report's evaluations give of both; the fits are `services/analyst/length_control`'s
`found`    what the report says, as data
`as_json`, `notes`, `view`, `spread_figure`, `wins_figure`   how it is said
"""

"""The dry run: what an experiment would do, ask of endpoints and cost at most, before anything runs.

    asks.py        which stages ask an endpoint, of how many rows, with how many requests
    quantity.py    a number with the range that it lies in
    tokens.py      tokens of a request, where nothing like it was asked before
    history.py     tokens and device seconds that like stages took before
    answered.py    which requests are answered in the ledger already
    power.py       what the primary contrast will be able to see
    preview.py     all of it as the JSON of POST /v1/experiments/plan

Pure but for what its callers read beforehand (services/api/past.py, services/api/ledgered.py).
"""

from shared.estimate.preview import Known, preview

__all__ = ["Known", "preview"]

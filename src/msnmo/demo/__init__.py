"""The demo cohort: simulated T2-FLAIR head scans, to run the whole workflow without patients.

Nothing that is learned from them says anything about patients: the priors of the lesions are much
simpler than the literature that they follow (see `msnmo.demo.lesions`).
"""

"""The demo cohort: simulated T2-FLAIR head scans, to run the whole workflow without patients.

What is learned from them says nothing about patients: the lesions are drawn from priors that are
simpler than the literature they follow (see `msnmo.demo.lesions`).
"""

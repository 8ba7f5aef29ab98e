"""A study: many training runs that say which of several ways of training is better.

``study_file`` reads what is to be done, ``run_config`` makes the config of one run,
``plan`` lists the runs before the first begins. ``run_study`` works through the plan
(``one_run`` trains and scores a run in a process of its own, ``submit`` hands workers
to SLURM), and ``study_folder`` knows what is done, by whom, and what failed.
``run_records`` writes, reads and collects the scores. ``statistics`` holds the
formulas, ``analysis`` applies them to the contrasts of the plan, and ``study_report``
writes the pages.
"""

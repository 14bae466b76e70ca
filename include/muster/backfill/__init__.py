"""A backfill: a range of partitions brought through a workload's stages by Airflow's runs, and what came of each."""

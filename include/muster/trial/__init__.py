"""One group tried on this machine: the functions that the Spark jobs run, without Spark, Airflow or MLflow."""

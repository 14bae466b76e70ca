-- Run once by PostgreSQL's image, when its volume is new. Airflow's database is made by the image itself.
CREATE DATABASE mlflow;

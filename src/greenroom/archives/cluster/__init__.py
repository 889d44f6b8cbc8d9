"""Workers of a batch on the machines of a Ray cluster."""

from greenroom.archives.cluster.crew import cluster_connection, ray_crew
from greenroom.archives.cluster.job import job_of

__all__ = ["cluster_connection", "job_of", "ray_crew"]

"""Units of `ltap transcode --plan` through Spark's RDD.pipe, on two workers of a cluster in local processes.

rddpipe.py <units.jsonl> <results.jsonl> <command>
"""
import sys

from pyspark import SparkConf, SparkContext

units_file, results_file, command = sys.argv[1:]
conf = SparkConf().setMaster('local-cluster[2,1,1024]').setAppName('ltap work')
for name, value in {
    'spark.ui.enabled': 'false', 'spark.driver.bindAddress': '127.0.0.1', 'spark.driver.host': '127.0.0.1', 'spark.task.maxFailures': '4',
}.items():
    conf.set(name, value)
sc = SparkContext(conf=conf)
with open(units_file) as units:
    lines = [line for line in units.read().split('\n') if line]
results = sc.parallelize(lines, len(lines)).pipe(command, checkCode=True).collect()
with open(results_file, 'w') as out:
    out.write('\n'.join(results) + '\n')
sc.stop()

import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, folder, pythonEnvironment, skip, works } from './common.mjs'

/** It runs `ltap work` for its partitions, and reads published tables; its own dependency. */
const SPARK = [
  { name: 'pyspark', version: '4.1.4', sha256: 'bcbd5e18690cf79d438e97210ad06fb8d451a251bb77becc2b0418868d2acd73' },
  { name: 'py4j', version: '0.10.9.9', sha256: 'c7c26e4158defb37b0bb124933163641a2ff6e3a3913f7811b0ddbe07ed61533' },
]
/** What it reads Iceberg and Delta with, from Maven Central, each with its SHA-256. */
const JARS = [
  ['org.apache.iceberg', 'iceberg-spark-runtime-4.1_2.13', '1.12.0', '3123c3798af642dd537230923548e013ef41cc28b6626e5225808cf5670a0f82'],
  ['org.apache.iceberg', 'iceberg-aws-bundle', '1.12.0', 'dd7e49ffa4ac9b215bed846581991259e3aec9bb2fa08d6cec029c46cd66d957'],
  ['io.delta', 'delta-spark_4.1_2.13', '4.4.0', '75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10'],
  ['io.delta', 'delta-storage', '4.4.0', 'c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc'],
  ['io.delta', 'delta-kernel-api', '4.4.0', 'ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11'],
  ['io.delta', 'delta-kernel-defaults', '4.4.0', '225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b'],
  ['io.delta', 'delta-kernel-unitycatalog', '4.4.0', 'cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa'],
  ['io.unitycatalog', 'unitycatalog-client', '0.6.0', '48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19'],
  ['io.unitycatalog', 'unitycatalog-hadoop', '0.6.0', 'c47b63c961c87102b9e1d63809a0915ba4c86b7652f57c8d39ca3a05b441a150'],
]
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

export function installSpark() {
  const wanted = join(folder, 'spark.txt')
  writeFileSync(wanted, SPARK.map(({ name, version, sha256 }) => `${name}==${version} --hash=sha256:${sha256}\n`).join(''))
  const python = pythonEnvironment(`PySpark ${SPARK[0].version}`, join(folder, 'spark'), wanted, [])
  if (python === undefined) return
  check('PySpark', python, ['-c', 'import pyspark; print(f" {pyspark.__version__} ")'], ` ${SPARK[0].version} `)
  if (!works('java', ['-version'])) skip('PySpark: there is no java, which runs it: install Java 17')
}

export function installSparkJars() {
  const home = join(folder, 'sparkjars')
  mkdirSync(home, { recursive: true })
  if (JARS.some((jar) => !existsSync(join(home, jarName(jar))))) copyJars(home)
  for (const jar of JARS) {
    const path = join(home, jarName(jar))
    if (!existsSync(path)) skip(`Spark: no ${jarName(jar)}: Maven did not give it`)
    else if (createHash('sha256').update(readFileSync(path)).digest('hex') !== jar[3]) {
      rmSync(path)
      skip(`Spark: ${jarName(jar)} is not the pinned one, and was removed: install again`)
    }
  }
  console.log(`jars of Spark: ${home}`)
}

function jarName([, artifact, version]) {
  return `${artifact}-${version}.jar`
}

function copyJars(home) {
  if (spawnSync('mvn', ['--version']).status !== 0) return skip('jars of Spark: there is no mvn, which gets them')
  const work = mkdtempSync(join(tmpdir(), 'ltap-jars-'))
  const alone = '<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>'
  const wanted = JARS.map(([group, artifact, version]) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>${alone}</dependency>\n`)
  writeFileSync(join(work, 'pom.xml'), `<project><modelVersion>4.0.0</modelVersion>
<groupId>ltap</groupId><artifactId>jars</artifactId><version>1</version><dependencies>
${wanted.join('')}</dependencies></project>\n`)
  works('mvn', ['-q', '-B', '-f', join(work, 'pom.xml'), PLUGIN, `-DoutputDirectory=${join(work, 'jars')}`])
  for (const jar of JARS) {
    const path = join(work, 'jars', jarName(jar))
    if (existsSync(path)) copyFileSync(path, join(home, jarName(jar)))
  }
  rmSync(work, { recursive: true, force: true })
}

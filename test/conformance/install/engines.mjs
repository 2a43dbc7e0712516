import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, folder, pythonEnvironment, skip } from './common.mjs'

const PLATFORM = 'linux x64, CPython 3.11'
const DUCKDB_EXTENSIONS = ['httpfs', 'avro', 'iceberg', 'delta']
/** The wheels have the extensions as files: they are put where DuckDB looks for them. */
const UNPACK = `
import duckdb, sys
from duckdb_extensions import import_extension
connection = duckdb.connect()
connection.sql(f"SET extension_directory = '{sys.argv[1]}'")
for extension in sys.argv[2:]:
    import_extension(extension, con=connection)
    connection.sql(f'LOAD {extension}')
print('loaded')`

/** DuckDB, PyIceberg, deltalake, Polars and pyarrow in one environment. */
export function installEngines() {
  const home = join(folder, 'engines')
  const wanted = requirements('engines.txt')
  if (!isPlatform(home)) return skip(`engines: the pinned wheels are for ${PLATFORM}`)
  const python = pythonEnvironment('engines', home, wanted)
  if (python === undefined) return
  const { stdout } = spawnSync(python, ['-m', 'pip', 'list', '--format=freeze', '--disable-pip-version-check'], { encoding: 'utf8' })
  const found = new Set(stdout.toLowerCase().replaceAll('_', '-').split('\n'))
  for (const line of readFileSync(wanted, 'utf8').split('\n')) {
    const pinned = /^(\S+==\S+) --hash/.exec(line)?.[1]
    if (pinned !== undefined && !found.has(pinned)) skip(`engines: ${home} has no ${pinned}: remove it and install again`)
  }
  check('DuckDB with its extensions', python, ['-c', UNPACK, join(home, 'duckdb'), ...DUCKDB_EXTENSIONS], 'loaded')
}

/** ClickHouse takes 600 MB, and another pandas than the rest. */
export function installClickHouse() {
  const home = join(folder, 'chdb')
  if (!isPlatform(home)) return skip(`ClickHouse (chdb): the pinned wheels are for ${PLATFORM}`)
  const python = pythonEnvironment('ClickHouse (chdb)', home, requirements('chdb.txt'))
  if (python !== undefined) check('ClickHouse', python, ['-c', 'import chdb; print("version", chdb.query("SELECT version()"))'], 'version "26.9')
}

function isPlatform(home) {
  if (existsSync(join(home, 'bin/python'))) return true
  const { stdout } = spawnSync('python3', ['-c', 'import platform; print(platform.python_implementation(), *platform.python_version_tuple()[:2])'], { encoding: 'utf8' })
  return `${process.platform} ${process.arch}` === 'linux x64' && stdout?.trim() === 'CPython 3 11'
}

function requirements(name) {
  return join(import.meta.dirname, name)
}

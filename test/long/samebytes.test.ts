/**
 * Another commit of ltap makes the same files of format 1: for changes that must not change a byte. `LTAP_BASE=<commit> npx vitest run test/long/samebytes`
 * in a git checkout builds that commit beside this one, and both transcode copies of the same data directories.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { withFolder } from '../support/lakes.ts'
import { runWorkload } from '../support/workload.ts'
import { loadZoo } from '../support/zoo.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const BASE = process.env['LTAP_BASE'] ?? ''
if (BASE === '') console.warn('SKIPPED: lake files are not compared with those of another commit, because LTAP_BASE names none')

/** @returns the library of the commit, built in `folder` */
function buildBase(folder: string): string {
  execFileSync('sh', ['-c', `git -C "${ROOT}" archive ${BASE} | tar -x -C "${folder}"`])
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], { cwd: folder })
  return join(folder, 'dist/jobs/transcodelake.js')
}

function transcode(program: string, dataDir: string, lake: string): void {
  const script = `const { transcodeLake } = await import(process.argv[1]); await transcodeLake({ pgdata: process.argv[2], lake: process.argv[3], workers: 2 })`
  execFileSync(process.execPath, ['--input-type=module', '-e', script, '--', program, dataDir, lake], { stdio: 'pipe' })
}

/** SHA-256 by path, of every file that holds data. */
function hashes(lake: string): Map<string, string> {
  const files = readdirSync(join(lake, 'data'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(files.map(({ parentPath, name }) => {
    const path = join(parentPath, name)
    return [path.slice(lake.length), createHash('sha256').update(readFileSync(path)).digest('hex')]
  }))
}

/** What differs between two lakes, by path. */
function differences(a: Map<string, string>, b: Map<string, string>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((path) => a.get(path) !== b.get(path))
}

describe.runIf(BASE !== '').each(majors())(`lakes of this commit and of ${BASE}, Postgres %i`, (major) => {
  test('hold the same bytes', () => withFolder((folder) => withCluster(major, { initdbArgs: major === 17 ? ['-k'] : [] }, async (cluster, sql) => {
    await loadZoo(major, sql)
    await sql.exec("CREATE TABLE many AS SELECT i, md5(i::text) AS v, i / 7.0 AS n FROM generate_series(1, 400000) i")
    await runWorkload(cluster)
    await closeSessions(cluster)
    await cluster.stop('fast')
    mkdirSync(join(folder, 'base'))
    const base = buildBase(join(folder, 'base'))
    transcode(base, cluster.dataDir, join(folder, 'before'))
    transcode(join(ROOT, 'dist/jobs/transcodelake.js'), cluster.dataDir, join(folder, 'after'))
    const before = hashes(join(folder, 'before'))
    expect(before.size).toBeGreaterThan(700)
    expect(differences(before, hashes(join(folder, 'after')))).toEqual([])
    // A planted fault: one byte of one file.
    const [path] = [...before.keys()].slice(-1) as [string]
    const bytes = readFileSync(join(folder, 'after', path))
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(join(folder, 'after', path), bytes)
    expect(differences(before, hashes(join(folder, 'after')))).toEqual([path])
    console.info(`Postgres ${major}: ${before.size} files are the same`)
  })))
})

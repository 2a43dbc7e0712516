/** Lakes and data directories side by side: transcode with the settings tests want, destroy heap files, compare two servers. */
import { randomFillSync } from 'node:crypto'
import { existsSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TranscodeLakeOptions, transcodeLake } from '../../src/jobs/transcodelake.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { type Session, connect, withAdopted } from './oracle.ts'
import { pgDump } from './pgdump.ts'

/** Runs `body` with an empty folder that is gone afterwards. */
export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ltap-test-'))
  try {
    // A server that runs as another user must be able to enter it.
    await chmod(folder, 0o755)
    return await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

export function transcode(pgdata: string, lake: string, options: Partial<TranscodeLakeOptions> = {}): Promise<Manifest> {
  return transcodeLake({ pgdata, lake, workers: 0, compression: 'zstd', profile: 'portable', onCorrupt: 'fail', ...options })
}

/** Makes every heap file of the lake's relations useless, in one of four ways: garbage, cut to nothing, too long, deleted. */
export function destroyHeapFiles(pgdata: string, manifest: Manifest): number {
  const stored = manifest.relations.filter(({ path }) => path !== '')
  for (const [i, { path, forks }] of stored.entries()) {
    const file = join(pgdata, path)
    const length = (forks.main ?? 0) * BLOCK_SIZE
    if (!existsSync(file)) throw new Error(`${path} is not in the copy`)
    if (i % 4 === 0) truncateSync(file, 0)
    else if (i % 4 === 1) rmSync(file)
    else writeFileSync(file, randomFillSync(new Uint8Array(i % 4 === 2 ? length : length + 3 * BLOCK_SIZE)))
  }
  return stored.length
}

/** What a server on `dataDir` says, by question; two servers on equal data directories say the same. */
export async function interrogate(dataDir: string): Promise<Map<string, string>> {
  const answers = new Map<string, string>()
  await withAdopted(dataDir, async (cluster, sql) => {
    const prepared = await sql.rows('SELECT gid, database FROM pg_prepared_xacts ORDER BY gid')
    answers.set('prepared transactions', JSON.stringify(prepared))
    // Their locks are in the way of reading some tables, and committing them is the better question.
    for (const [gid] of prepared) await sql.exec(`COMMIT PREPARED '${gid}'`)
    const databases = (await sql.rows('SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1')).flat()
    for (const database of databases) {
      const session = await connect(cluster, database ?? '')
      await session.exec('SET lock_timeout = 5000; SET extra_float_digits = 1')
      // No server converts from SQL_ASCII: its bytes must come as they are.
      if (await session.value('SHOW server_encoding') === 'SQL_ASCII') await session.exec('SET client_encoding = SQL_ASCII')
      answers.set(`${database}: pg_dump`, await pgDump(cluster, database ?? ''))
      await interrogateDatabase(session, (question, answer) => answers.set(`${database}: ${question}`, answer))
    }
  }, { max_prepared_transactions: '10', autovacuum: 'off' })
  return answers
}

/** Every row with its physical columns, amcheck of every heap and of every index against its heap. */
async function interrogateDatabase(sql: Session, answer: (question: string, text: string) => void): Promise<void> {
  const relations = await sql.rows(`
    SELECT c.oid, relkind, quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm', 't', 'S') AND relpersistence <> 't' AND relispopulated ORDER BY c.oid`)
  for (const [oid, relkind, name] of relations) {
    answer(`rows of ${name}`, (await sql.copyOut(`(SELECT ctid, xmin, xmax, cmin, t.* FROM ONLY ${name} t)`)).toString('latin1'))
    if (relkind === 'S') continue
    answer(`amcheck of ${name}`, JSON.stringify(await sql.rows(`SELECT * FROM verify_heapam(${oid}, check_toast => true)`)))
  }
  const indexes = await sql.rows(`
    SELECT i.indexrelid, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relkind = 'i' AND c.relam = 403 AND c.relpersistence <> 't' AND i.indisvalid ORDER BY 1`)
  for (const [oid, name] of indexes) {
    const outcome = sql.exec(`SELECT bt_index_check(${oid}, true)`).then(() => 'clean', (error: Error) => error.message)
    answer(`amcheck of index ${name}`, await outcome)
  }
}

/** Questions that two servers answer differently, each with both answers from where they part. */
export function disagreements(expected: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): string[] {
  const questions = [...new Set([...expected.keys(), ...found.keys()])]
  return questions.filter((question) => expected.get(question) !== found.get(question)).map((question) => {
    const [a = 'nothing', b = 'nothing'] = [expected.get(question), found.get(question)]
    let at = 0
    while (at < a.length && a[at] === b[at]) at++
    const from = Math.max(at - 60, 0)
    return `${question}: ${JSON.stringify(a.slice(from, at + 60))} became ${JSON.stringify(b.slice(from, at + 60))}`
  })
}

/** `schema.name` of every table, materialized view and sequence outside the catalogs. */
export async function userTables(sql: Session): Promise<string[]> {
  const rows = await sql.rows(`
    SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm', 'S') AND relpersistence <> 't' AND c.oid >= 16384 ORDER BY c.oid`)
  return rows.map(([name]) => name ?? '')
}

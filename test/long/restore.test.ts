/** Restores in full: every database by every question, prepared transactions in three ways, restores that end early, planted faults. */
import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RestoreRelation, RestoreSource } from '../../src/jobs/restore/restoresource.ts'
import { findPostgres, PostgresServer } from '../../src/server/postgres.ts'
import { disagreements, interrogate, withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { amcheck, fill, restore } from '../support/restorecheck.ts'
import { directorySource } from '../support/restoredirectory.ts'

/** REINDEX writes these catalogs; pg_dump compares what they mean. */
const REINDEXED = /: rows of pg_catalog\.(?:pg_class|pg_index): /

const PREPARED = { max_prepared_transactions: '10' }

async function prepare(sql: Session): Promise<void> {
  await sql.script(`CREATE EXTENSION amcheck; CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX t_v ON t (v);
    INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 500) i;
    CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other SELECT generate_series(1, 100);
    BEGIN; INSERT INTO t SELECT i, 'p' || i FROM generate_series(501, 700) i; DELETE FROM t WHERE id < 10; PREPARE TRANSACTION 'it''s one';
    BEGIN; CREATE TABLE made (id int PRIMARY KEY); INSERT INTO made SELECT generate_series(1, 50); PREPARE TRANSACTION E'two\\n\\\\lines'`)
}

/** Fails at the n-th page or file that is asked for. */
function failing(source: RestoreSource, after: number): RestoreSource {
  let left = after
  const pass = (): void => {
    if (left-- === 0) throw new Error('planted')
  }
  return {
    ...source,
    read: (path) => {
      pass()
      return source.read(path)
    },
    async *relations() {
      for await (const relation of source.relations()) {
        yield { ...relation, pages: (sink) => relation.pages((block, page) => {
          pass()
          sink(block, page)
        }) }
      }
    },
  }
}

/** Table t is another one, or none. */
function changed(source: RestoreSource, change: (relation: RestoreRelation) => RestoreRelation | undefined): RestoreSource {
  return {
    ...source,
    async *relations() {
      for await (const relation of source.relations()) {
        const found = relation.name === 't' ? change(relation) : relation
        if (found !== undefined) yield found
      }
    },
  }
}

/** A file beside the data directory. */
function leadingOut(source: RestoreSource): RestoreSource {
  return {
    ...source, read: (path) => path.startsWith('..') ? Promise.resolve(new Uint8Array(0)) : source.read(path),
    async *entries() {
      yield* source.entries()
      yield { kind: 'file', path: '../outside', mode: 0o600, bytes: 0 }
    },
  }
}

function withoutConfiguration(source: RestoreSource): RestoreSource {
  return {
    ...source,
    async *entries() {
      for await (const entry of source.entries()) if (!entry.path.endsWith('.conf')) yield entry
    },
  }
}

async function refusesToStart(dataDir: string): Promise<void> {
  if (!existsSync(join(dataDir, 'PG_VERSION'))) return
  const cluster = await PostgresServer.adopt({ dataDir })
  try {
    await expect(cluster.start()).rejects.toThrow(/did not start.*(?:configuration file|postgresql\.conf)/)
  } finally {
    await cluster.remove()
  }
}

describe.each(majors())('Postgres %i', (major) => {
  test('every database, relation and index', () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await fill(cluster, sql)
    await closeSessions(cluster)
    await cluster.stop()
    const out = join(folder, 'restored')
    await restore(cluster.dataDir, out)
    // Until 14 the sequence of an unlogged table is logged, so it goes on.
    const sequence = major === 14 ? 'CONTINUE' : 'RESTART'
    await withAdopted(cluster.dataDir, async (_, original) => original.exec(`TRUNCATE forgotten ${sequence} IDENTITY`))
    const found = await interrogate(out)
    expect(found.size).toBeGreaterThan(1000)
    expect(disagreements(await interrogate(cluster.dataDir), found).filter((line) => !REINDEXED.test(line))).toEqual([])
  })))

  test('prepared transactions: refused, committed, rolled back, kept', () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await prepare(sql)
    await closeSessions(cluster)
    await cluster.stop()
    const out = join(folder, 'out')
    await expect(restore(cluster.dataDir, out)).rejects.toThrow(/restore\.prepared: the state has 2 prepared transactions.*--prepared/)
    const byHand = restore(cluster.dataDir, out, { prepared: 'commit', postgres: undefined })
    await expect(byHand).rejects.toThrow(/restore\.prepared: --prepared commit needs --postgres/)
    for (const prepared of ['commit', 'rollback'] as const) {
      const settled = join(folder, prepared)
      expect(await restore(cluster.dataDir, settled, { prepared })).toMatchObject({ prepared: 2, notRebuilt: [] })
      await withAdopted(settled, async (_, there) => {
        const isCommitted = prepared === 'commit'
        expect(await there.value('SELECT count(*) FROM pg_prepared_xacts')).toBe('0')
        await there.exec('SET enable_seqscan = off')
        expect(await there.value("SELECT count(*) FROM t WHERE v LIKE 'p%' OR v > 'a'")).toBe(isCommitted ? '691' : '500')
        expect(await there.value('SELECT count(*) FROM t WHERE id BETWEEN 1 AND 600')).toBe(isCommitted ? '591' : '500')
        expect(await there.value("SELECT to_regclass('made')")).toBe(isCommitted ? 'made' : null)
        expect(await amcheck(there)).toEqual([])
      })
    }
    const withDdl = restore(cluster.dataDir, join(folder, 'ddl'), { prepared: 'keep' })
    await expect(withDdl).rejects.toThrow(/restore\.prepared: .* made index public\.made_pkey/)
    await cluster.start(PREPARED)
    const again = await connect(cluster)
    await again.exec("ROLLBACK PREPARED E'two\\n\\\\lines'")
    await again.exec("BEGIN; ALTER TABLE other ADD COLUMN more int; PREPARE TRANSACTION 'ddl'")
    await closeSessions(cluster)
    await cluster.stop()
    const withLocks = restore(cluster.dataDir, join(folder, 'locks'), { prepared: 'keep' })
    await expect(withLocks).rejects.toThrow(/restore\.prepared: .* holds a lock on a catalog/)
    await cluster.start(PREPARED)
    await (await connect(cluster)).exec("ROLLBACK PREPARED 'ddl'")
    await closeSessions(cluster)
    await cluster.stop()
    const kept = join(folder, 'kept')
    const report = await restore(cluster.dataDir, kept, { prepared: 'keep' })
    const reason = 'canceling statement due to lock timeout'
    expect(report.notRebuilt).toEqual(['public.t_pkey', 'public.t_v'].map((index) => ({ database: 'postgres', index, reason })))
    await withAdopted(kept, async (_, there) => {
      expect(await there.value('SELECT count(*) FROM pg_prepared_xacts')).toBe('1')
      expect((await there.rows('SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid ORDER BY 1')).flat()).toEqual(['t_pkey', 't_v'])
      await there.exec("SET enable_seqscan = off; INSERT INTO t VALUES (1000, 'new')")
      expect(await there.value('SELECT count(*) FROM t WHERE id > 0')).toBe('501')
      expect(await there.value('SELECT count(*) FROM other WHERE id > 0')).toBe('100')
      await there.script("COMMIT PREPARED 'it''s one'; REINDEX TABLE t; SET enable_seqscan = off")
      expect(await there.value('SELECT count(*) FROM t WHERE id > 0')).toBe('692')
      expect(await amcheck(there)).toEqual([])
    }, PREPARED)
  })))

  const early = 'a restore that ends early leaves a folder that no server starts on, and that the next restore finishes'
  test(early, () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await sql.script("CREATE EXTENSION amcheck; CREATE TABLE t (id int PRIMARY KEY, v text)")
    await sql.exec("INSERT INTO t SELECT i, repeat('v', 500) FROM generate_series(1, 3000) i")
    await closeSessions(cluster)
    await cluster.stop()
    const out = join(folder, 'out')
    const source = directorySource(cluster.dataDir)
    for (const after of [0, 5, 100, 700]) {
      await expect(restore(failing(source, after), out)).rejects.toThrow('planted')
      await refusesToStart(out)
    }
    const programs = join(folder, 'programs')
    mkdirSync(programs)
    const script = '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "FATAL:  planted" >&2\nkill -9 $$\n'
    for (const name of ['postgres', 'initdb']) writeFileSync(join(programs, name), script, { mode: 0o755 })
    chmodSync(folder, 0o755)
    await expect(restore(source, out, { postgres: programs })).rejects.toThrow(/restore\.postgres: .*FATAL: {2}planted/)
    await refusesToStart(out)
    expect(await restore(source, out)).toMatchObject({ notRebuilt: [] })
    await withAdopted(out, async (_, there) => expect(await amcheck(there)).toEqual([]))
  })))

  test('planted faults of a source and of an index are found', () => withFolder((folder) => withCluster(major, {}, async (cluster, sql) => {
    await sql.script("CREATE EXTENSION amcheck; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 3000)")
    await closeSessions(cluster)
    await cluster.stop()
    const source = directorySource(cluster.dataDir)
    const out = (name: string): string => join(folder, name)
    const lost = changed(source, (relation) => ({ ...relation, pages: (sink) => relation.pages((block, page) => void (block !== 3 && sink(block, page))) }))
    await expect(restore(lost, out('lost'))).rejects.toThrow(/restore\.block: 1 of \d+ blocks are missing/)
    const twice = changed(source, (relation) => ({ ...relation, pages: (sink) => relation.pages((block, page) => sink(block === 4 ? 3 : block, page)) }))
    await expect(restore(twice, out('twice'))).rejects.toThrow(/restore\.block: the block was given twice/)
    const beyond = changed(source, (relation) => ({ ...relation, pages: (sink) => relation.pages((block, page) => sink(block + 1, page)) }))
    await expect(restore(beyond, out('beyond'))).rejects.toThrow(/restore\.block: the relation has \d+ blocks/)
    await expect(restore(changed(source, () => undefined), out('without'))).rejects.toThrow(/restore\.relation: .*postgres\.public\.t/)
    await expect(restore(leadingOut(source), out('leading'))).rejects.toThrow(/restore\.path/)
    expect(existsSync(join(folder, 'outside'))).toBe(false)
    const short: RestoreSource = {
      ...source, read: async (path) => (await source.read(path)).subarray(path === 'pg_xact/0000' ? 1 : 0),
    }
    await expect(restore(short, out('short'))).rejects.toThrow(/restore\.file: \d+ bytes, not \d+.*pg_xact\/0000/)

    const later: RestoreSource = { ...source, lsn: source.lsn + 8n }
    await expect(restore(later, out('later'))).rejects.toThrow(/restore\.control: pg_control is not of/)

    // Without REINDEX the indexes are empty: amcheck finds it, and the report says that nobody rebuilt them.
    const empty = out('empty')
    expect(await restore(source, empty, { postgres: undefined })).toMatchObject({ indexes: undefined })
    await withAdopted(empty, async (_, there) => {
      await there.exec('SET enable_seqscan = off')
      expect(await there.value('SELECT count(*) FROM t WHERE id > 0')).toBe('0')
    }, { ignore_system_indexes: 'on' })
  })))

  test('configuration: what leads elsewhere is switched off or named', () => withFolder((folder) => withCluster(major, {}, async (cluster) => {
    await cluster.stop()
    const settings = [
      'archive_mode = on', "archive_command = 'false'", "synchronous_standby_names = 'a'", "primary_conninfo = 'host=x'",
      `data_directory = '${cluster.dataDir}'`, "ident_file = '/etc/ltap/ident.conf'",
    ]
    appendFileSync(join(cluster.dataDir, 'postgresql.conf'), `\n${settings.join('\n')}`)
    const out = join(folder, "it's out")
    const report = await restore(cluster.dataDir, out)
    expect(report.outside).toEqual([{ name: 'ident_file', path: '/etc/ltap/ident.conf' }])
    expect(report.changed).toEqual([
      "archive_mode = 'off'", "synchronous_standby_names = ''", "primary_conninfo = ''", `data_directory = '${folder}/it''s out'`,
    ])
    await withAdopted(out, async (_, there) => {
      const shown = { archive_mode: 'off', synchronous_standby_names: '', primary_conninfo: '', data_directory: out }
      for (const [name, value] of Object.entries(shown)) expect(await there.value(`SHOW ${name}`), name).toBe(value)
    })
    const made = await restore(withoutConfiguration(directorySource(cluster.dataDir)), join(folder, 'made'))
    expect(made.made).toEqual(['postgresql.conf', 'pg_hba.conf'])
    await withAdopted(join(folder, 'made'), async () => {}, { hba_file: join(cluster.dataDir, 'pg_hba.conf') })
  })))

  test('server programs of another major are refused, with what the server says', () => withFolder((folder) => withCluster(major, {}, async (cluster) => {
    await cluster.stop()
    const other = findPostgres(major === 18 ? 17 : 18)
    if (other === undefined) return
    await expect(restore(cluster.dataDir, join(folder, 'out'), { postgres: other.binDir })).rejects.toThrow(/restore\.postgres: .*not compatible|incompatible/)
    expect(readdirSync(join(folder, 'out'))).toContain('ltap-restore')
    expect(readFileSync(join(folder, 'out/PG_VERSION'), 'utf8').trim()).toBe(String(major))
  })))
})


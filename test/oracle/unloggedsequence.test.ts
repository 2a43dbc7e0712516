/**
 * The one exception from "redo makes the pages that a server's recovery makes" (ARCHITECTURE.md): an unlogged sequence that was created after the copy was
 * taken. Recovery has the page of its init fork in a buffer only when it copies the file to the main fork (ResetUnloggedRelations, reinit.c): that gets
 * a page of zeros, of which no server gives a number. ltap's is the init fork, as on the server that made the sequence once it starts after a crash.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { PostgresServer } from '../../src/server/postgres.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { ltap } from '../cli/streams.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors } from '../support/oracle.ts'
import { promote } from '../support/promote.ts'
import { type RecoveryCase, type ServerVariant, withRecovery } from '../support/recovery.ts'
import { replayCase } from '../support/replayed.ts'
import { drawn, SCOPE } from '../support/scope.ts'

const VARIANT: ServerVariant & { recover: false } =
  { checksums: true, walLogHints: false, walCompression: 'off', fullPageWrites: true, walLevel: 'replica', recover: false }
const SEQUENCES = ['public.own', 'public.u_id_seq']
const STATE = 'SELECT last_value::text, log_cnt::text, is_called::text FROM '

/** Since 15. */
const newer = majors().filter((major) => major >= 15)
const MAJORS = SCOPE === 'quick' ? drawn(newer, 1, 'majors of unlogged sequences') : newer

/** The page of a sequence without what differs with its place in time: pd_checksum, which is right or zero. */
function page(dir: string, path: string): Buffer {
  const bytes = readFileSync(join(dir, path))
  expect(bytes).toHaveLength(BLOCK_SIZE)
  return bytes.fill(0, 8, 10)
}

test.each(MAJORS)('an unlogged sequence that was created after the copy, Postgres %i', async (major) => {
  let primary: PostgresServer | undefined
  const paths = new Map<string, string>()
  await withRecovery(major, VARIANT, {
    prepare: async (cluster) => void await (await connect(cluster)).exec('CREATE TABLE t (a int)'),
    async run(cluster) {
      primary = cluster
      const sql = await connect(cluster)
      await sql.script(`CREATE UNLOGGED SEQUENCE own START WITH 40 INCREMENT BY 3; SELECT nextval('own') FROM generate_series(1, 5);
        CREATE UNLOGGED TABLE u (id serial, v text); INSERT INTO u (v) VALUES ('a'), ('b')`)
      for (const name of SEQUENCES) paths.set(name, await sql.value(`SELECT pg_relation_filepath('${name}')`) ?? '')
      return { tablespaces: [] }
    },
  }, (found) => check(found, primary!, paths))
})

async function check(found: RecoveryCase, primary: PostgresServer, paths: ReadonlyMap<string, string>): Promise<void> {
  // What a server should have: the one that made the sequences had flushed their init forks.
  await primary.start()
  const expected = new Map<string, string>()
  for (const name of SEQUENCES) expected.set(name, String((await (await connect(primary)).rows(STATE + name))[0]))
  expect([...expected.values()]).toEqual(['40,0,false', '1,0,false'])
  await closeSessions(primary)
  await primary.stop()

  // What recovery makes of the copy: pages of zeros. If this fails, that server mended it, and ARCHITECTURE.md may say so.
  const promoted = join(found.base, '../promoted')
  await copyDataDir(found.base, promoted)
  await cp(found.wal, join(promoted, 'pg_wal'), { recursive: true })
  const server = await PostgresServer.adopt({ dataDir: promoted })
  try {
    const sql = await promote(server, promoted, 'recovery.signal')
    for (const name of SEQUENCES) await expect(sql.value(`SELECT nextval('${name}')`), name).rejects.toThrow(/bad magic number in sequence/)
    await closeSessions(server)
    await server.stop()
  } finally {
    await server.remove()
  }
  for (const [name, path] of paths) {
    expect(page(promoted, path).every((byte) => byte === 0), name).toBe(true)
    expect(page(promoted, `${path}_init`).equals(page(primary.dataDir, `${path}_init`)), name).toBe(true)
  }

  await withFolder(async (folder) => {
    const [out, lake] = [join(folder, 'out'), join(folder, 'lake')]
    await replayCase(found, out)
    for (const [name, path] of paths) {
      for (const fork of ['', '_init']) expect(page(out, path + fork).equals(page(primary.dataDir, `${path}_init`)), name + fork).toBe(true)
    }
    expect((await ltap(['transcode', out, '--lake', lake, '--database', 'postgres'])).code).toBe(0)
    for (const [name, state] of expected) expect(await stateOf(lake, name)).toBe(state)
    // Planted: what recovery left, at its place.
    const [name, path] = [...paths][0]!
    writeFileSync(join(out, path), readFileSync(join(promoted, path)))
    expect(page(out, path).equals(page(primary.dataDir, `${path}_init`)), name).toBe(false)
    const zeros = join(folder, 'zeros')
    expect((await ltap(['transcode', out, '--lake', zeros, '--database', 'postgres'])).code).toBe(0)
    expect(await stateOf(zeros, name)).not.toBe(expected.get(name))
  })
}

async function stateOf(lake: string, sequence: string): Promise<string> {
  const { stdout, stderr } = await ltap(['query', '--lake', lake, '--format', 'csv', `SELECT last_value, log_cnt, is_called FROM ${sequence}`])
  return stdout.trim().split('\n').slice(1).join('\n') + stderr
}

// LTAP_TEST_MAJORS may leave none.
test.runIf(MAJORS.length === 0)('no Postgres of 15 or newer is there', () => console.info('SKIPPED: unlogged sequences: no Postgres of 15 or newer'))

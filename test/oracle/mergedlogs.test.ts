/**
 * `ltap.transactions` over so many publications that its files are merged: it has each transaction once, as the server says of it, before the merge and behind it,
 * and when a data file was deleted by hand; `verify` names a file that is gone or has other bytes.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { reportErasure } from '../../src/jobs/lakes/erasure.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { publishLake } from '../../src/jobs/publish/publishlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { addedFiles, rowsOf } from '../support/deltatable.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { closeSessions, connect, fewerMajors, withCluster } from '../support/oracle.ts'

const [major] = fewerMajors('majors of merged logs') as [number]
const ROUNDS = 10

test('the files of ltap.transactions stay few, with the same rows', () => withCluster(major, { settings: { autovacuum: 'off' } }, async (server, first) => {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-mergedlogs-'))
  const lake = join(folder, 'lake')
  const known: { xids: number; snapshot: number; rows: string[] }[] = []
  let newest = ''
  try {
    let from = 0
    for (let round = 0; round < ROUNDS; round++) {
      const sql = round === 0 ? first : (await server.start(), await connect(server))
      if (round === 0) await sql.script('CREATE TABLE a (id int)')
      await sql.script(`INSERT INTO a VALUES (${round})`)
      await sql.script(`BEGIN; INSERT INTO a VALUES (-${round}); SAVEPOINT s; INSERT INTO a VALUES (0); ROLLBACK`)
      const next = Number(await sql.value('SELECT pg_current_xact_id()')) + 1
      if (round === 0) from = next
      await closeSessions(server)
      await server.stop('fast')
      const { published, publishProblem, lsn } = await materializeLake({ pgdata: server.dataDir, store: await openObjectStore(lake), workers: 0, filter: { databases: ['postgres'], tables: [] }, publish: {} })
      expect({ left: published.left, publishProblem }).toEqual({ left: [], publishProblem: null })
      newest = lsn
      const metadata = icebergMetadata(logFolder(lake))
      known.push({ xids: next - from, snapshot: metadata['current-snapshot-id'], rows: await icebergRows(metadata) })
    }
    await server.start()
    const sql = await connect(server)
    const status = await sql.rows(`SELECT x, pg_xact_status(x::text::xid8) FROM generate_series(${from}, ${from + known.at(-1)!.xids - 1}) AS x`)
    const expected = status.map(([xid, was]) => [xid!, was!]).sort()
    await closeSessions(server)
    await server.stop('fast')

    const operations = icebergMetadata(logFolder(lake)).snapshots.map(({ summary }) => summary['operation'])
    expect(operations.filter((operation) => operation === 'replace')).toHaveLength(1)
    expect(new Set(operations)).toEqual(new Set(['append', 'replace']))
    expect(addedFiles(logFolder(lake)).size).toBeLessThan(ROUNDS - 2)
    const check = async (): Promise<void> => {
      const rows = await icebergRows(icebergMetadata(logFolder(lake)))
      expect(rows.map((row) => (JSON.parse(row) as string[]).filter((_, i) => i === 0 || i === 2)).sort()).toEqual(expected)
      expect(rowsOf(addedFiles(logFolder(lake)))).toBe(expected.length)
    }
    await check()
    await mergeLake({ lake, all: true, workers: 0 })
    expect(addedFiles(logFolder(lake)).size).toBe(1)
    await check()
    // Earlier snapshots have the rows that they had.
    await collectLake({ lake, keep: '0s' })
    for (const { snapshot, rows, xids } of known) {
      expect(rows).toHaveLength(xids)
      expect(await icebergRows(icebergMetadata(logFolder(lake)), snapshot)).toEqual(rows)
    }
    const differences = async (): Promise<(string | undefined)[]> => (await verifyLake({ lake, workers: 0 })).differences.map(({ file }) => file)
    expect(await differences()).toEqual([])
    const before = dataFiles(logFolder(lake)).length
    await publishLake({ lake, window: { snapshots: 1 } })
    await collectLake({ lake, keep: '0s' })
    expect([before > ROUNDS, dataFiles(logFolder(lake)).length]).toEqual([true, 1])
    const report = await reportErasure({ lake, before: newest })
    expect(report.stray.filter(({ object }) => object.startsWith('ltap.transactions/data/'))).toEqual([])
    // A file with other bytes, and one that is gone.
    const [file] = dataFiles(logFolder(lake)) as [string]
    const bytes = readFileSync(join(logFolder(lake), 'data', file))
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(join(logFolder(lake), 'data', file), bytes)
    expect(await differences()).toEqual([`ltap.transactions/data/${file}`])
    for (const log of ['ltap.transactions', 'ltap.schemas']) {
      const shapes = await shapesOf(lake)
      const [gone] = dataFiles(logFolder(lake, log)) as [string]
      rmSync(join(logFolder(lake, log), 'data', gone))
      expect(await differences()).toContain(`${log}/data/${gone}`)
      const { restarted, left } = await publishLake({ lake })
      expect({ restarted, left }).toEqual({ restarted: [log], left: [] })
      expect(existsSync(join(logFolder(lake, log), 'data', gone))).toBe(false)
      if (log === 'ltap.transactions') expect(await shapesOf(lake)).toEqual(shapes)
      else expect((await shapesOf(lake)).map((row) => (JSON.parse(row) as string[]).slice(5, 11).filter((_, i) => i !== 1))).toEqual([['a', 'true', '1', 'id', 'integer']])
      await check()
    }
    // A transaction that is missing (planted).
    expected.pop()
    await expect(check()).rejects.toThrow()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}))

function logFolder(lake: string, log = 'ltap.transactions'): string {
  return publishedFolders(lake, true).get(log)!
}

async function shapesOf(lake: string): Promise<string[]> {
  return await icebergRows(icebergMetadata(logFolder(lake, 'ltap.schemas')))
}

function dataFiles(folder: string): string[] {
  return readdirSync(join(folder, 'data')).filter((name) => name.endsWith('.layer'))
}

/** Laws of redo over every record of a real workload. */
import { join } from 'node:path'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { CorruptionError, EnvironmentError, isPositioned } from '../../src/common/errors.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { type ControlFile, parseControlFile } from '../../src/catalog/controlfile.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import { canonicalPage, newPageBuffer } from '../../src/page/canonical.ts'
import { Redo } from '../../src/redo/redo.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import type { MemoryPage } from '../../src/replay/memoryfork.ts'
import { loadDataDir } from '../support/memorystore.ts'
import { MemoryFork } from '../../src/replay/memoryfork.ts'
import { MemoryReplayStore, relationKey } from '../../src/replay/memoryreplaystore.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { CLEAR_VISIBLE, PREPARE, PROCEDURES, PRUNE_AND_VACUUM } from '../support/walworkloadsql.ts'
import { decodeRecord } from './records.ts'

const DAMAGED_RECORDS = 2000

interface Material {
  major: PgMajor
  control: ControlFile
  base: string
  wal: string
}

/** A workload, the data directory before it and its WAL. */
async function withMaterial(major: number, body: (material: Material) => void): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), `ltap-redo-${major}-`))
  const server = await createCluster(major, { settings: { max_wal_size: '4GB', wal_keep_size: '4GB', lock_timeout: '30s' } })
  try {
    await (await connect(server)).script(PREPARE)
    await closeSessions(server)
    await server.stop()
    await copyDataDir(server.dataDir, join(work, 'base'))
    await server.start()
    const sql = await connect(server)
    await sql.script(PROCEDURES)
    await sql.script(`${CLEAR_VISIBLE}; VACUUM (FREEZE) seen; ${CLEAR_VISIBLE}`)
    await sql.script(PRUNE_AND_VACUUM)
    await closeSessions(server)
    await server.stop()
    const control = parseControlFile(readFileSync(join(work, 'base/global/pg_control')), major as PgMajor)
    body({ major: major as PgMajor, control, base: join(work, 'base'), wal: join(server.dataDir, 'pg_wal') })
  } finally {
    await closeSessions(server)
    await server.remove()
    rmSync(work, { recursive: true, force: true })
  }
}

function newRedo({ major, control }: Material, store: MemoryReplayStore): Redo {
  const redo = new Redo(store, { major, checksums: control.checksums, walLogHints: false })
  redo.reachedConsistency()
  return redo
}

function forEachRecord({ major, control, wal }: Material, body: (record: WalRecord) => void): number {
  const source = openWal(wal, { start: Number(control.redo), major, timeline: control.timeline })
  let records = 0
  for (let record = source.read(); record !== undefined; record = source.read(), records++) body(record)
  source.close()
  return records
}

function canonical(page: MemoryPage): Uint8Array {
  const out = newPageBuffer()
  canonicalPage(page.words, 0, out)
  return out.bytes
}

/** The page of a main fork that the record names, if there is one. */
function pageOf(store: MemoryReplayStore, record: WalRecord, index: number): MemoryPage | undefined {
  const block = record.blocks[index]!
  return block.fork === MAIN_FORK ? store.relations.get(relationKey(block))?.forks[MAIN_FORK]?.pages[block.block] : undefined
}

/** So large a block is no part of the material: the disk is full. */
class SmallFork extends MemoryFork {
  override extend(block: number): MemoryPage {
    if (block > 2000) throw new EnvironmentError('test.full', 'no room')
    return super.extend(block)
  }
}

/** Also of relations that only a damaged record names. */
class SmallStore extends MemoryReplayStore {
  override fork(spcOid: number, dbOid: number, relNumber: number, fork: number): MemoryFork | undefined {
    if (super.fork(spcOid, dbOid, relNumber, fork) === undefined) return undefined
    const { forks } = this.relations.get(relationKey({ spcOid, dbOid, relNumber }))!
    if (!(forks[fork] instanceof SmallFork)) forks[fork] = new SmallFork()
    return forks[fork]
  }
}

/** Copies of the pages that a record touches. */
function pagesOf(store: MemoryReplayStore, record: WalRecord): MemoryReplayStore {
  const copy = new SmallStore(17)
  for (let i = 0; i < record.blockCount; i++) {
    const { spcOid, dbOid, relNumber, fork, block } = record.blocks[i]!
    const key = `${spcOid}/${dbOid}/${relNumber}`
    const page = store.relations.get(key)?.forks[fork]?.pages[block]
    const relation = copy.relations.get(key) ?? { spcOid, dbOid, relNumber, forks: [0, 1, 2, 3].map(() => new SmallFork()) }
    copy.relations.set(key, relation)
    if (page !== undefined) relation.forks[fork]!.extend(block).bytes.set(page.bytes)
  }
  return copy
}

describe.each(fewerMajors('majors of canonical redo'))('redo on Postgres %i', (major) => {
  test('canonical(redo(p, r)) = canonical(redo(canonical(p), r)); damaged records end in an error with a position or in a page', async () => {
    await withMaterial(major, (material) => {
      checkCanonicalLaw(material)
      checkDamage(material)
    })
  })
})

function checkCanonicalLaw(material: Material): void {
  const full = loadDataDir(material.base)
  const bare = loadDataDir(material.base)
  for (const { forks } of bare.relations.values()) for (const page of forks[MAIN_FORK]?.pages ?? []) page.bytes.set(canonical(page))
  const [redoFull, redoBare] = [newRedo(material, full), newRedo(material, bare)]
  let pages = 0
  let different = 0
  const records = forEachRecord(material, (record) => {
    redoFull.apply(record)
    redoBare.apply(record)
    for (let i = 0; i < record.blockCount; i++) {
      const [ours, theirs] = [pageOf(bare, record, i), pageOf(full, record, i)]
      if (ours === undefined || theirs === undefined) continue
      const expected = canonical(theirs)
      ours.bytes.set(canonical(ours))
      if (Buffer.compare(ours.bytes, expected) !== 0) throw new Error(`canonical pages differ after the record at ${record.startLsn.toString(16)}`)
      if (Buffer.compare(theirs.bytes, expected) !== 0) different++
      pages++
    }
  })
  expect(records).toBeGreaterThan(5000)
  expect(pages).toBeGreaterThan(5000)
  // The law would be empty if pages were canonical anyway.
  expect(different).toBeGreaterThan(pages / 4)
}

function checkDamage(material: Material): void {
  const dice = new Random(TEST_SEED)
  const store = loadDataDir(material.base)
  const redo = newRedo(material, store)
  let damaged = 0
  let refused = 0
  forEachRecord(material, (record) => {
    for (let i = 0; damaged < DAMAGED_RECORDS && i < 3 && record.blockCount > 0 && dice.chance(50); i++, damaged++) {
      const bytes = record.bytes.slice(record.start, record.start + record.length)
      for (let flips = 1 + dice.int(3); flips > 0; flips--) bytes[17 + dice.int(bytes.length - 17)] = dice.int(256)
      try {
        const copy = pagesOf(store, record)
        newRedo(material, copy).apply(decodeRecord(bytes, material.major, record.endLsn))
      } catch (error) {
        if (!isPositioned(error)) throw new Error(`seed ${TEST_SEED}: ${Buffer.from(bytes).toString('hex')}`, { cause: error })
        if (error instanceof CorruptionError) expect(error.position.lsn).toBeDefined()
        refused++
      }
    }
    redo.apply(record)
  })
  expect(damaged).toBe(DAMAGED_RECORDS)
  expect(refused).toBeGreaterThan(DAMAGED_RECORDS / 10)
  expect(refused).toBeLessThan(DAMAGED_RECORDS)
}

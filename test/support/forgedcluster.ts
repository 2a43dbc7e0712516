/**
 * Catalogs, control files, two-phase files and SLRUs of a data directory as a forger writes them, and the rows of its tables that must be read
 * as before: those that no changed byte is about.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Relation } from '../../src/catalog/relations.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { isPositioned } from '../../src/common/errors.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { type DirectoryCluster, openCluster } from '../../src/io/cluster.ts'
import { parseControlFile } from '../../src/catalog/controlfile.ts'
import { TableReader } from '../../src/jobs/inspect/tablereader.ts'
import { transcodeLake } from '../../src/jobs/transcodelake.ts'
import { parseTwoPhaseFile } from '../../src/xact/twophase.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpOff } from '../../src/page/linepointer.ts'
import { changeTuple, changeWords, writeInPlace } from './forgedbytes.ts'
import { CatalogReach } from './forgedreach.ts'
import type { Random } from './random.ts'
import { changedMultis, changedXids, membersOf } from './slrubytes.ts'

export interface ForgedClusterSetup {
  /** A clean data directory, changed and restored input by input; its tables are in schema public of one database. */
  dataDir: string
  dbOid: number
  catalogs: readonly { name: string; path: string }[]
  /** An empty folder. */
  scratch: string
}

/** One row version as it was before anything was changed. */
interface KnownRow {
  at: number
  text: string
  xids: readonly number[]
  multi: number
}

interface KnownTable {
  relation: Relation
  rows: readonly KnownRow[]
}

type Mode = 'fail' | 'carry'

/** Rows of a table that are read, and about how much text. */
const ROWS_MAX = 80
const TEXT_MAX = 12_000
/** The first catalogs of the setup are changed more often: most of what is read of the others is the same for all tables. */
const MOST_READ = 5
/** Oids of initdb are below it. */
const FIRST_NORMAL_OID = 16384
/** One in so many inputs is read whole: every relation, orphans, and a lake. */
const WHOLE_ONE_IN = 100

/** For tests of this test: changes what was read. */
export type RowPlant = (text: string) => string

export class ForgedCluster {
  private readonly setup: ForgedClusterSetup
  private readonly major: PgMajor
  private readonly relations: readonly Relation[]
  private readonly tables: readonly KnownTable[]
  private readonly originals = new Map<string, Uint8Array>()
  /** By catalog: its tuples about objects that users made. */
  private readonly userTuples: ReadonlyMap<string, readonly { block: number; offset: number }[]>
  private plant: RowPlant = (text) => text

  constructor(setup: ForgedClusterSetup, major: PgMajor) {
    this.setup = setup
    this.major = major
    const cluster = openCluster(setup.dataDir)
    this.relations = cluster.relations(setup.dbOid)
    this.tables = this.relations.filter(({ schema, visible }) => schema === 'public' && visible)
      .map((relation) => ({ relation, rows: rowsOf(cluster, relation, this.membersAtStart()) }))
    this.userTuples = new Map(setup.catalogs.map(({ name, path }) => [name, userTuplesOf(this.original(path))]))
  }

  /** @param plant a fault of reading, for tests of this test */
  async run(kind: 'catalog' | 'control' | 'twophase' | 'slru', dice: Random, plant: RowPlant = (text) => text): Promise<void> {
    this.plant = plant
    await this[kind](dice)
  }

  /** Bytes of tuples of catalogs, page checksums recomputed: tables that no changed tuple is about are there, with the same rows. */
  private async catalog(dice: Random): Promise<void> {
    const { name, path } = dice.pick(this.setup.catalogs.slice(0, dice.pick([MOST_READ, this.setup.catalogs.length])))
    const bytes = this.original(path).slice()
    const reach = new CatalogReach(this.setup.dbOid, this.tables.map(({ relation }) => relation))
    const blocks = new Set<number>()
    for (let left = dice.pick([1, 1, 1, 2, 5]); left > 0; left--) {
      const known = this.userTuples.get(name)!
      const { block, offset } = known.length > 0 && dice.int(3) > 0 ? dice.pick(known) : { block: dice.int(bytes.length / BLOCK_SIZE), offset: 0 }
      const changed = changeTuple(bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), block, dice, { offset, words: this.someOid(dice) })
      if (changed === undefined) continue
      reach.add(name, changed)
      blocks.add(block)
    }
    const mode = dice.pick<Mode>(['fail', 'carry'])
    // Of a table that was changed: the others are read all the same.
    let refusal: unknown
    await this.whileChanged(path, bytes, blocks, dice, mode, () => {
      const cluster = openCluster(this.setup.dataDir, { onCorrupt: mode })
      const found = cluster.relations(this.setup.dbOid)
      for (const { relation, rows } of this.tables) {
        const table = found.find(({ oid, visible }) => oid === relation.oid && visible)
        if (reach.has(relation)) {
          if (table !== undefined) refusal = refusalOf(() => readAll(cluster, table)) ?? refusal
        } else if (table === undefined && cluster.damaged(this.setup.dbOid).some(({ oid }) => oid === relation.oid)) continue
        else if (table === undefined) throw new Error(`silent difference: ${relation.name} is gone with a changed ${name}`)
        else this.sameRows(cluster, table, rows, () => true)
      }
    }, (error) => {
      if (mode === 'fail' || reach.all) return
      throw new Error(`carry gives nothing, with a changed ${name}: ${String(error)}`, { cause: error })
    })
    if (refusal !== undefined) throw refusal
  }

  /** Where the counters of transactions are as before, all rows are. */
  private async control(dice: Random): Promise<void> {
    const crcAt = this.major >= 18 ? 292 : 288
    const bytes = this.original('global/pg_control').slice()
    changeWords(bytes, 0, crcAt, dice)
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(crcAt, crc32c(bytes, 0, crcAt), true)
    const before = countersOf(this.original('global/pg_control'), this.major)
    const same = countersOf(bytes, this.major) === before
    await this.rowsWith('global/pg_control', bytes, dice, () => same)
  }

  /** Rows of other transactions than the file's, before and after. */
  private async twophase(dice: Random): Promise<void> {
    const name = dice.pick(readdirSync(join(this.setup.dataDir, 'pg_twophase')).sort())
    const path = `pg_twophase/${name}`
    const bytes = this.original(path).slice()
    changeWords(bytes, dice.pick([0, 8, 8]), bytes.length - 4, dice)
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(bytes.length - 4, crc32c(bytes, 0, bytes.length - 4), true)
    const xids = new Set([this.original(path), bytes].flatMap((file) => preparedIn(file, this.major)))
    await this.rowsWith(path, bytes, dice, (row) => !row.xids.some((xid) => xids.has(xid)))
  }

  /** Rows of other transactions and multixacts than those whose bytes were changed. */
  private async slru(dice: Random): Promise<void> {
    const folder = dice.pick(['pg_xact', 'pg_multixact/offsets', 'pg_multixact/members'])
    const name = dice.pick(readdirSync(join(this.setup.dataDir, folder)).sort())
    const original = this.original(`${folder}/${name}`)
    let bytes = original.slice()
    if (dice.int(5) === 0) bytes = bytes.subarray(0, dice.int(bytes.length + 1))
    else if (dice.int(8) === 0) bytes.fill(0, 0, BLOCK_SIZE)
    else changeWords(bytes, 0, Math.min(bytes.length, 600), dice)
    const first = parseInt(name, 16) * 32
    const xids = folder === 'pg_xact' ? changedXids(original, bytes, first) : () => false
    const multis = folder === 'pg_xact' ? () => false : changedMultis(folder, original, bytes, first, this.membersAtStart())
    await this.rowsWith(`${folder}/${name}`, bytes, dice, (row) => !row.xids.some(xids) && !(row.multi !== 0 && multis(row.multi)))
  }

  /** Reads tables as the unchanged catalogs describe them. */
  private async rowsWith(path: string, bytes: Uint8Array, dice: Random, isSame: (row: KnownRow) => boolean): Promise<void> {
    const mode = dice.pick<Mode>(['fail', 'carry'])
    await this.whileChanged(path, bytes, undefined, dice, mode, () => {
      const opened = openCluster(this.setup.dataDir, { onCorrupt: mode })
      const cluster = Object.create(opened, { relations: { value: () => this.relations } }) as DirectoryCluster
      for (const { relation, rows } of this.tables) this.sameRows(cluster, relation, rows, isSame)
    }, () => {})
  }

  private sameRows(cluster: DirectoryCluster, table: Relation, rows: readonly KnownRow[], isSame: (row: KnownRow) => boolean): void {
    const found = readAll(cluster, table, rows.at(-1)?.at)
    for (const row of rows) {
      if (!isSame(row)) continue
      const text = found.get(row.at)
      if (text === undefined || this.plant(text) !== row.text) {
        throw new Error(`silent difference: a row of ${table.name} was ${row.text.slice(0, 300)}, now ${String(text).slice(0, 300)}`)
      }
    }
  }

  /** The oid of a table or of one of its types, or the number of its file. */
  private someOid(dice: Random): Uint8Array {
    const { relation: { oid, toastRelId, locator, desc } } = dice.pick(this.tables)
    const { type } = dice.pick(desc!.attributes)
    return new Uint8Array(Uint32Array.of(dice.pick([oid, toastRelId, locator.relNumber, type.oid])).buffer)
  }

  private membersAtStart(): ReturnType<typeof membersOf> {
    return membersOf(this.original('pg_multixact/offsets/0000'), this.original('pg_multixact/members/0000'))
  }

  private original(path: string): Uint8Array {
    const known = this.originals.get(path) ?? new Uint8Array(readFileSync(join(this.setup.dataDir, path)))
    this.originals.set(path, known)
    return known
  }

  /** @param refused called for an error of ours, which goes on to the caller */
  private async whileChanged(
    path: string, bytes: Uint8Array, blocks: ReadonlySet<number> | undefined, dice: Random, mode: Mode, body: () => void, refused: (error: unknown) => void,
  ): Promise<void> {
    const file = join(this.setup.dataDir, path)
    const whole = dice.int(WHOLE_ONE_IN) === 0
    writeInPlace(file, bytes, blocks)
    try {
      if (whole) await this.readWhole(mode)
      body()
    } catch (error) {
      if (isPositioned(error)) refused(error)
      throw error
    } finally {
      writeInPlace(file, this.original(path), blocks)
    }
  }

  private async readWhole(onCorrupt: Mode): Promise<void> {
    const lake = join(this.setup.scratch, 'lake')
    try {
      openCluster(this.setup.dataDir, { onCorrupt }).orphans()
      await transcodeLake({ pgdata: this.setup.dataDir, lake, workers: 0, compression: 'none', profile: 'portable', onCorrupt })
    } finally {
      rmSync(lake, { recursive: true, force: true })
    }
  }
}

/** The error of ours that reading ends in, if it does. */
function refusalOf(body: () => void): unknown {
  try {
    body()
    return undefined
  } catch (error) {
    if (isPositioned(error)) return error
    throw error
  }
}

/** Tuples whose first or second column is the oid of an object that a user made. */
function userTuplesOf(file: Uint8Array): { block: number; offset: number }[] {
  const found: { block: number; offset: number }[] = []
  for (let block = 0; block < file.length / BLOCK_SIZE; block++) {
    const page = file.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
    const view = new DataView(page.buffer, page.byteOffset, BLOCK_SIZE)
    for (let offset = 1; offset <= linePointerCount(page); offset++) {
      const item = linePointer(page, offset)
      if (lpFlags(item) !== LP_NORMAL) continue
      const values = lpOff(item) + page[lpOff(item) + 22]!
      const isUsers = [values, values + 4].some((at) => at + 4 <= BLOCK_SIZE && view.getUint32(at, true) >= FIRST_NORMAL_OID && view.getUint32(at, true) < 30_000)
      if (isUsers) found.push({ block, offset })
    }
  }
  return found
}

/** Row versions by place, as text, up to the place `last`. What is damaged is passed over. */
function readAll(cluster: DirectoryCluster, table: Relation, last = Infinity): Map<number, string> {
  const found = new Map<number, string>()
  const reader = new TableReader(cluster, table)
  let length = 0
  try {
    for (const row of reader.rows({ dead: true, onDamage: () => {} })) {
      const at = row.block * 1000 + row.offset
      if (at > last || found.size === ROWS_MAX) break
      const text = JSON.stringify(row)
      found.set(at, text)
      if (at === last || (length += text.length) > TEXT_MAX) break
    }
  } finally {
    reader.close()
  }
  return found
}

function rowsOf(cluster: DirectoryCluster, table: Relation, members: ReturnType<typeof membersOf>): KnownRow[] {
  return [...readAll(cluster, table)].map(([at, text]) => {
    const { xmin, xmax } = JSON.parse(text) as { xmin: number; xmax: string }
    const number = Number(xmax.split(' ')[0])
    const multi = xmax.includes('multixact') ? number : 0
    return { at, text, multi, xids: [xmin, ...(multi === 0 ? [number] : members.get(multi) ?? [])] }
  })
}

/** What the file says of transactions; undefined if it says nothing that is read. */
function countersOf(bytes: Uint8Array, major: PgMajor): string | undefined {
  try {
    const { nextXid, oldestXid, nextMulti, nextMultiOffset, oldestMulti } = parseControlFile(bytes, major)
    return JSON.stringify([nextXid, oldestXid, nextMulti, nextMultiOffset, oldestMulti])
  } catch (error) {
    if (isPositioned(error)) return undefined
    throw error
  }
}

function preparedIn(bytes: Uint8Array, major: PgMajor): number[] {
  try {
    const { xid, subxacts } = parseTwoPhaseFile(bytes, major)
    return [xid, ...subxacts]
  } catch (error) {
    if (isPositioned(error)) return []
    throw error
  }
}

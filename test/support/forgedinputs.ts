/** Inputs as a forger writes them, all checksums right, and what reading them must lead to: an error of ours, or a right result. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { isPositioned } from '../../src/common/errors.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { type Cluster, openCluster } from '../../src/io/cluster.ts'
import { TableReader } from '../../src/jobs/inspect/tablereader.ts'
import { transcodeLake } from '../../src/jobs/transcodelake.ts'
import { parseManifest } from '../../src/lake/manifest.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../src/page/linepointer.ts'
import { Redo } from '../../src/redo/redo.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { dumpRecord } from '../../src/wal/waldump.ts'
import { CANARIES, CANARY, descriptorOf, withDescriptor, withoutChecksums } from './forge.ts'
import { MemoryStore } from './memorystore.ts'
import { Random } from './random.ts'

export const KINDS = ['descriptor', 'manifest', 'footer', 'catalog', 'control', 'twophase', 'slru', 'wal'] as const
export type Kind = (typeof KINDS)[number]

/** Of a hundred inputs; a cluster takes longer to open than a descriptor to read. */
const SHARES: Readonly<Record<Kind, number>> = { descriptor: 40, manifest: 10, footer: 15, catalog: 10, control: 4, twophase: 4, slru: 4, wal: 13 }

export interface ForgedSetup {
  major: PgMajor
  seed: number
  /** A clean data directory, changed and restored input by input; its database `postgres` has tables in schema public. */
  dataDir: string
  /** Relative to it. */
  catalogs: readonly string[]
  dbOid: number
  lake: string
  /** Lake files to forge, relative to it. */
  files: readonly string[]
  wal: { path: string; start: number; timeline: number; segmentSize: number; systemIdentifier: string }
  /** An empty folder. */
  scratch: string
}

/** `refused`: an error of ours; `accepted`: read to the end, with a right result where one can be told. */
export type Outcome = 'refused' | 'accepted'

export class ForgedInputs {
  private readonly setup: ForgedSetup
  private readonly files: { bytes: Uint8Array; pages: Uint8Array }[]
  private readonly manifest: string
  private readonly walBytes: Uint8Array

  constructor(setup: ForgedSetup) {
    this.setup = setup
    this.files = setup.files.map((name) => {
      const bytes = new Uint8Array(readFileSync(join(setup.lake, name)))
      return { bytes, pages: withoutChecksums(rebuildPages(bytes)) }
    })
    this.manifest = readFileSync(join(setup.lake, 'ltap.json'), 'utf8')
    this.walBytes = new Uint8Array(readFileSync(setup.wal.path))
  }

  static kindOf(n: number): Kind {
    let left = n % 100
    return KINDS.find((kind) => (left -= SHARES[kind]) < 0)!
  }

  /** Reads input `n`. @throws whatever is no error of ours: the fault */
  async run(n: number): Promise<Outcome> {
    const outcome = await this.outcomeOf(n)
    if (CANARY in globalThis) throw new Error('the canary ran')
    return outcome
  }

  private async outcomeOf(n: number): Promise<Outcome> {
    const dice = new Random(this.setup.seed * 1_000_003 + n)
    try {
      await this.read(ForgedInputs.kindOf(n), dice)
      return 'accepted'
    } catch (error) {
      if (isPositioned(error) && error.message.length < 2000) return 'refused'
      throw error
    }
  }

  private read(kind: Kind, dice: Random): Promise<void> | void {
    return kind === 'manifest' ? this.manifestJson(dice) : this[kind](dice)
  }

  private descriptor(dice: Random): void {
    const { bytes, pages } = dice.pick(this.files)
    const value = JSON.parse(descriptorOf(bytes)) as unknown
    const json = forgedJson(value, dice)
    this.samePages(withDescriptor(bytes, json), pages)
  }

  private manifestJson(dice: Random): void {
    const value = JSON.parse(this.manifest) as { relations: unknown[] }
    value.relations = value.relations.slice(0, 3)
    parseManifest(forgedJson(value, dice))
  }

  private footer(dice: Random): void {
    const { bytes, pages } = dice.pick(this.files)
    const file = bytes.slice()
    const view = new DataView(file.buffer)
    const footer = file.length - 8 - view.getUint32(file.length - 8, true)
    for (let left = dice.pick([1, 1, 2, 4]); left > 0; left--) {
      const at = footer + dice.int(file.length - footer)
      if (dice.int(3) === 0) file.fill(0xff, at, at + 1 + dice.int(9))
      else if (dice.int(2) === 0) file[at] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.int(256)])
      else file[at]! ^= 1 << dice.int(8)
    }
    this.samePages(file, pages)
  }

  private samePages(file: Uint8Array, wanted: Uint8Array): void {
    const found = withoutChecksums(rebuildPages(file))
    if (Buffer.compare(found, wanted) !== 0) throw new Error('silent difference: other pages')
  }

  /** Bytes of tuples of catalogs, page checksums recomputed. */
  private async catalog(dice: Random): Promise<void> {
    await this.whileChanged(dice.pick(this.setup.catalogs), (bytes) => {
      for (let left = dice.pick([1, 1, 1, 2, 5]); left > 0; left--) changeTuple(bytes, dice)
      return bytes
    }, async () => {
      const cluster = openCluster(this.setup.dataDir)
      readTables(cluster, this.setup.dbOid)
      if (dice.int(20) === 0) await this.transcode()
    })
  }

  private async transcode(): Promise<void> {
    const lake = join(this.setup.scratch, 'lake')
    try {
      await transcodeLake({ pgdata: this.setup.dataDir, lake, workers: 0, compression: 'none', profile: 'portable', onCorrupt: 'carry' })
    } finally {
      rmSync(lake, { recursive: true, force: true })
    }
  }

  private async control(dice: Random): Promise<void> {
    const crcAt = this.setup.major >= 18 ? 292 : 288
    await this.whileChanged('global/pg_control', (bytes) => {
      changeWords(bytes, 0, crcAt, dice)
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(crcAt, crc32c(bytes, 0, crcAt), true)
      return bytes
    }, () => this.open())
  }

  private async twophase(dice: Random): Promise<void> {
    const name = dice.pick(readdirSync(join(this.setup.dataDir, 'pg_twophase')).sort())
    await this.whileChanged(`pg_twophase/${name}`, (bytes) => {
      changeWords(bytes, dice.pick([0, 8, 8]), bytes.length - 4, dice)
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(bytes.length - 4, crc32c(bytes, 0, bytes.length - 4), true)
      return bytes
    }, () => this.open())
  }

  private async slru(dice: Random): Promise<void> {
    const folder = dice.pick(['pg_xact', 'pg_multixact/offsets', 'pg_multixact/members'])
    const name = dice.pick(readdirSync(join(this.setup.dataDir, folder)).sort())
    await this.whileChanged(`${folder}/${name}`, (bytes) => {
      if (dice.int(5) === 0) return bytes.subarray(0, dice.int(bytes.length + 1))
      const used = Math.min(bytes.length, 600)
      changeWords(bytes, 0, used, dice)
      return bytes
    }, () => this.open())
  }

  private open(): void {
    readTables(openCluster(this.setup.dataDir), this.setup.dbOid)
  }

  /** Bytes of records, their CRCs recomputed; read, printed and applied. */
  private wal(dice: Random): void {
    const { wal, major } = this.setup
    const bytes = this.walBytes.slice()
    for (let left = dice.pick([1, 1, 3]); left > 0; left--) changeRecord(bytes, dice)
    const systemIdentifier = BigInt(wal.systemIdentifier)
    const reader = new WalReader({ major, start: wal.start, timeline: wal.timeline, segmentSize: wal.segmentSize, systemIdentifier })
    const redo = new Redo(new MemoryStore(), { major, checksums: false, walLogHints: false })
    let stopped: unknown
    reader.feed(bytes)
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      for (const step of [() => dumpRecord(record, major, true), () => (stopped === undefined ? redo.apply(record) : undefined)]) {
        try {
          step()
        } catch (error) {
          if (!isPositioned(error)) throw error
          // Printing goes on, redo does not.
          stopped = error
        }
      }
    }
    if (stopped !== undefined) throw stopped
  }

  private async whileChanged(path: string, change: (bytes: Uint8Array) => Uint8Array, body: () => Promise<void> | void): Promise<void> {
    const file = join(this.setup.dataDir, path)
    const original = readFileSync(file)
    writeFileSync(file, change(new Uint8Array(original)))
    try {
      await body()
    } finally {
      writeFileSync(file, original)
    }
  }
}

/** Every relation is listed; tables of schema public are read to the end. */
function readTables(cluster: Cluster, dbOid: number): void {
  cluster.orphans()
  for (const relation of cluster.relations(dbOid)) {
    if (relation.schema !== 'public' && relation.name !== 'pg_proc') continue
    const reader = new TableReader(cluster, relation)
    try {
      let left = 300
      for (const _row of reader.rows({ dead: true, onDamage: () => {} })) if (left-- === 0) break
    } finally {
      reader.close()
    }
  }
}

/** One or two members replaced by a canary, by a member of another place, or by a number nearby. */
function forgedJson(value: unknown, dice: Random): string {
  const mark = '@canary@'
  const places = [...placesOf(value)]
  const [holder, key] = dice.pick(places)
  const original = holder[key]
  switch (dice.int(5)) {
    case 0: {
      const [other, otherKey] = dice.pick(places)
      holder[key] = structuredClone(other[otherKey])
      break
    }
    case 1:
      if (typeof original === 'number') holder[key] = original + dice.pick([-1, 1, 8, -8, 0x10000])
      else if (typeof original === 'string') holder[key] = original.slice(0, dice.int(original.length + 1))
      else delete holder[key]
      break
    case 2:
      if (Array.isArray(original)) original.push(...(structuredClone(original) as unknown[]))
      else holder[`${key}2`] = original
      break
    default:
      holder[key] = mark
  }
  const canary = dice.pick(CANARIES)
  return JSON.stringify(value).replace(`"${mark}"`, () => canary)
}

function* placesOf(value: unknown): Iterable<[holder: Record<string, unknown>, key: string]> {
  if (value === null || typeof value !== 'object') return
  const holder = value as Record<string, unknown>
  for (const key of Object.keys(holder)) {
    yield [holder, key]
    yield* placesOf(holder[key])
  }
}

const ODD_WORDS = [0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 1663, 16384]

function changeWords(bytes: Uint8Array, from: number, to: number, dice: Random): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let left = dice.pick([1, 1, 2, 4]); left > 0; left--) {
    const at = from + dice.int(to - from)
    switch (dice.int(4)) {
      case 0:
        bytes[at]! ^= 1 << dice.int(8)
        break
      case 1:
        bytes[at] = dice.int(256)
        break
      case 2:
        if ((at & ~3) + 4 <= to) view.setUint32(at & ~3, dice.pick(ODD_WORDS), true)
        break
      default:
        if ((at & ~1) + 2 <= to) view.setUint16(at & ~1, dice.pick([0, 1, 0x7fff, 0x8000, 0xffff, 0xfffe, dice.int(0x10000)]), true)
    }
  }
}

function changeTuple(file: Uint8Array, dice: Random): void {
  const block = dice.int(file.length / 8192)
  const page = file.subarray(block * 8192, block * 8192 + 8192)
  const count = linePointerCount(page)
  if (count === 0 || count > 2000) return
  const word = linePointer(page, 1 + dice.int(count))
  if (lpFlags(word) !== LP_NORMAL || lpLen(word) < 24) return
  const [start, end] = [lpOff(word), lpOff(word) + lpLen(word)]
  changeWords(page, dice.int(8) === 0 ? start : start + Math.min(page[start + 22]!, lpLen(word) - 1), end, dice)
  const view = new DataView(page.buffer, page.byteOffset)
  // A cluster without page checksums has zeros there.
  if (view.getUint16(8, true) !== 0) view.setUint16(8, pageChecksum(page, block), true)
}

/** One record that lies on one page: anything but its length, link and place. */
function changeRecord(bytes: Uint8Array, dice: Random): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const pageStart = dice.int(bytes.length / WAL_PAGE_SIZE) * WAL_PAGE_SIZE
  const remaining = view.getUint16(pageStart + 2, true) & 1 ? view.getUint32(pageStart + 16, true) : 0
  const header = view.getUint16(pageStart + 2, true) & 2 ? 40 : 24
  const records: [start: number, length: number][] = []
  for (let at = (pageStart + header + remaining + 7) & ~7; at + 24 <= pageStart + WAL_PAGE_SIZE; ) {
    const length = view.getUint32(at, true)
    if (length < 24 || at + length > pageStart + WAL_PAGE_SIZE) break
    records.push([at, length])
    at = (at + length + 7) & ~7
  }
  if (records.length === 0) return
  const [start, length] = dice.pick(records)
  if (dice.int(4) === 0) bytes[start + dice.pick([4, 5, 6, 7, 16, 16, 16, 17])] = dice.int(256)
  else if (length > 24) changeWords(bytes, start + 24, start + (dice.int(2) ? length : Math.min(length, 60)), dice)
  const body = crc32c(bytes, start + 24, start + length)
  view.setUint32(start + 20, crcContinued(body, bytes.subarray(start, start + 20)), true)
}

/** CRC-32C of a record: of its data, then of its header up to the CRC. */
function crcContinued(crc: number, more: Uint8Array): number {
  let value = ~crc
  for (const byte of more) {
    value ^= byte
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  }
  return ~value >>> 0
}

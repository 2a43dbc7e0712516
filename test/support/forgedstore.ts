/** Objects of a lake of layers as a forger writes them, every checksum right: HEAD, entries of its state, files of layers, packs, what entries refer to. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError, isPositioned } from '../../src/common/errors.ts'
import type { Lake } from '../../src/engine/lake.ts'
import type { LakeReport } from '../../src/jobs/lakereport.ts'
import { filesOf } from '../../src/jobs/lakes/layerfiles.ts'
import { rebuildFilePages } from '../../src/jobs/lakes/filepages.ts'
import { openLayeredLake, openState } from '../../src/jobs/lakes/openlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { decodeHead, type Head } from '../../src/lake/state/head.ts'
import { STATE_FORMAT } from '../../src/lake/state/page.ts'
import { STATE_TREES } from '../../src/lake/state/stateroot.ts'
import { parseStateRelation } from '../../src/lake/staterelation.ts'
import { descriptorOf, sealedHead, withDescriptor, withoutChecksums } from './forge.ts'
import { changeWords, forgedJson } from './forgedbytes.ts'
import type { Random } from './random.ts'

export interface ForgedStoreSetup {
  /** A lake in a folder, with two states, that only this forger reads. */
  lake: string
}

interface Entry {
  readonly tree: (typeof STATE_TREES)[number]
  readonly key: string
  readonly value: unknown
}

/** Bytes somewhere that an entry refers to. */
interface Reference {
  readonly holder: Record<string, unknown>
  /** Absent: its entry says in `objects` where it is. */
  readonly key: string
  readonly start?: number
  readonly length?: number
}

/** Of each relation, by its entry: CRC-32C of each block's page; an error of ours where it was not read. */
type Pages = Map<string, Map<number, number> | Error>

/** What a forger changed: files by path, and the entry that the change is of; undefined: anything may be. */
interface Forgery {
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly touched: string | undefined
}

export class ForgedStore {
  private readonly folder: string
  private readonly headFile: string
  private readonly head: Head
  private readonly entries: readonly Entry[]
  private readonly pages: Pages
  /** Of each relation and block what any of its layers has. */
  private readonly versions: ReadonlyMap<string, ReadonlyMap<number, ReadonlySet<number>>>

  private constructor(folder: string, headFile: string, head: Head, entries: readonly Entry[], pages: Pages, versions: ForgedStore['versions']) {
    this.folder = folder
    this.headFile = headFile
    this.head = head
    this.entries = entries
    this.pages = pages
    this.versions = versions
  }

  static async open({ lake: folder }: ForgedStoreSetup): Promise<ForgedStore> {
    const heads = join(folder, 'ltap/branches/main/HEAD')
    const headFile = join(heads, readdirSync(heads).filter((name) => /^\d+$/.test(name)).sort().at(-1)!)
    const lake = await openLayeredLake(folder)
    const snapshot = await openState(lake)
    const entries: Entry[] = []
    for (const tree of STATE_TREES) await snapshot.scan(tree, (key, value) => { entries.push({ tree, key, value }) })
    const report = await verifyLake({ lake: folder, workers: 0 })
    if (!report.equal) throw new Error(`the lake is damaged before anything was forged: ${JSON.stringify(report.differences[0])}`)
    const head = decodeHead(readFileSync(headFile), 'main')
    return new ForgedStore(folder, headFile, head, entries, await readPages(folder), await readVersions(lake, entries))
  }

  /** @param check with a planted fault in tests of this test */
  async run(dice: Random, check: typeof verified = verified, read = readPages): Promise<void> {
    const { files, touched } = this.forge(dice)
    const before = new Map([...files.keys()].map((path) => [path, readFileSync(path)]))
    for (const [path, bytes] of files) writeFileSync(path, bytes)
    try {
      const { differences: [difference] } = await check(this.folder)
      const found = await read(this.folder)
      this.compare(found, touched, difference === undefined)
      if (difference !== undefined) throw new CorruptionError('lake.forged', difference.reason.slice(0, 500))
    } finally {
      for (const [path, bytes] of before) writeFileSync(path, bytes)
    }
  }

  /** Pages that the change is not about are as before; of what it is about, an accepted page is one that some layer has. */
  private compare(found: Pages, touched: string | undefined, isAccepted: boolean): void {
    for (const [key, pages] of this.pages) {
      if (key === touched || touched === undefined) continue
      const now = found.get(key)
      if (now === undefined || now instanceof Error || !samePages(now, pages as Map<number, number>)) {
        throw new Error(`silent difference: ${key} has other pages, and ${touched} was forged: ${String(now instanceof Error ? now.message : '')}`)
      }
    }
    if (!isAccepted) return
    for (const [key, pages] of found) {
      if (pages instanceof Error) throw new Error(`silent difference: verify finds nothing, and ${key} is not read: ${pages.message}`)
      for (const [block, crc] of pages) if (!this.isKnown(key, block, crc)) throw new Error(`silent difference: an invented page, block ${block} of ${key}`)
    }
  }

  /** A forged key may give a relation another name, but no page may be one that no layer has. */
  private isKnown(key: string, block: number, crc: number): boolean {
    const own = this.versions.get(key)
    if (own !== undefined) return own.get(block)?.has(crc) === true
    return [...this.versions.values()].some((blocks) => blocks.get(block)?.has(crc))
  }

  private forge(dice: Random): Forgery {
    if (dice.int(6) === 0) {
      const json = forgedJson(structuredClone({ format: STATE_FORMAT, ...this.head }), dice)
      return { files: new Map([[this.headFile, sealedHead(Buffer.from(json))]]), touched: undefined }
    }
    const entry = dice.pick(this.entries.filter(({ tree }) => tree === dice.pick(STATE_TREES)).concat(this.entries))
    const value = structuredClone(entry.value)
    const references = dice.int(2) === 0 ? [...referencesIn(value)] : []
    const isLayer = entry.tree === 'layers'
    // What a stranger says of the cluster, of its databases or of transactions may be about every relation; other trees are about none.
    const touched = isLayer ? entry.key : entry.tree === 'catalog' || entry.tree === 'status' ? undefined : ''
    if (references.length === 0) return { files: new Map([[this.headFile, this.headWith(entry, forgedJson(value, dice))]]), touched }
    const file = this.forgedObject(dice.pick(references), dice)
    return { files: new Map([file, [this.headFile, this.headWith(entry, JSON.stringify(value))]]), touched }
  }

  /** Changes bytes of an object, and what its entry says of them. */
  private forgedObject({ holder, key, start = 0, length }: Reference, dice: Random): [path: string, bytes: Uint8Array] {
    const path = join(this.folder, key)
    const whole = new Uint8Array(readFileSync(path))
    const isParquet = key.endsWith('.layer')
    if (isParquet && dice.int(3) === 0) {
      const bytes = withDescriptor(whole, forgedJson(JSON.parse(descriptorOf(whole)), dice))
      Object.assign(holder, { bytes: bytes.length, crc: crc32c(bytes) })
      return [path, bytes]
    }
    const end = length === undefined ? whole.length : start + length
    // The footer of a Parquet file is at its end.
    changeWords(whole, isParquet && dice.int(2) === 0 ? Math.max(start, end - 4000) : start, end, dice)
    const piece = whole.subarray(start, end)
    if (key.endsWith('.blocks')) new DataView(whole.buffer).setUint32(end - 4, crc32c(whole.subarray(start, end - 4)), true)
    if (typeof holder['crc'] === 'number') holder['crc'] = crc32c(piece)
    return [path, whole]
  }

  /** HEAD whose newest edit gives an entry another value. */
  private headWith({ tree, key }: Entry, json: string): Uint8Array {
    const { inline, state } = this.head
    const edit = JSON.stringify({ sequence: state.sequence, tree, key, value: '@value@' }).replace('"@value@"', () => json)
    const head = JSON.stringify({ format: STATE_FORMAT, ...this.head, inline: [...inline.filter((one) => one.tree !== tree || one.key !== key), '@edit@'] })
    return sealedHead(Buffer.from(head.replace('"@edit@"', () => edit)))
  }
}

/** Without the data directory. */
async function verified(lake: string): Promise<Pick<LakeReport, 'differences'>> {
  return await verifyLake({ lake, workers: 0 })
}

async function readPages(folder: string): Promise<Pages> {
  const lake = await openLayeredLake(folder)
  const values: [key: string, value: unknown][] = []
  await (await openState(lake)).scan('layers', (key, value) => { values.push([key, value]) })
  const found: Pages = new Map()
  for (const [key, value] of values) {
    const pages = new Map<number, number>()
    const read = visitPages(lake, key, value, (block, crc, isCurrent) => { if (isCurrent) pages.set(block, crc) })
    found.set(key, await read.then(() => pages, ourError))
  }
  return found
}

function ourError(error: unknown): Error {
  if (isPositioned(error)) return error
  throw error
}

async function readVersions(lake: Lake, entries: readonly Entry[]): Promise<ForgedStore['versions']> {
  const versions = new Map<string, Map<number, Set<number>>>()
  for (const { tree, key, value } of entries) {
    if (tree !== 'layers') continue
    const blocks = new Map<number, Set<number>>()
    await visitPages(lake, key, value, (block, crc) => { blocks.set(block, (blocks.get(block) ?? new Set()).add(crc)) }, true)
    versions.set(key, blocks)
  }
  return versions
}

/** CRCs of pages without their checksums. @param all those of files of which no block is current, too */
async function visitPages(
  lake: Lake, key: string, value: unknown, visit: (block: number, crc: number, isCurrent: boolean) => void, all = false,
): Promise<void> {
  for (const { file, current } of filesOf(parseStateRelation(key, value), '')) {
    if (current.size === 0 && !all) continue
    await rebuildFilePages(lake.ports.store, file, true, (block, page) => visit(block, crc32(withoutChecksums(page)), current.has(block)))
  }
}

function samePages(found: ReadonlyMap<number, number>, wanted: ReadonlyMap<number, number>): boolean {
  return found.size === wanted.size && [...wanted].every(([block, crc]) => found.get(block) === crc)
}

/** Objects and pieces of objects that a value names, with the member that says their CRC. */
function* referencesIn(value: unknown, objects: readonly string[] = []): Iterable<Reference> {
  if (value === null || typeof value !== 'object') return
  const holder = value as Record<string, unknown>
  const own = Array.isArray(holder['objects']) ? holder['objects'] as string[] : objects
  const { key, start, length, crc, bytes, pack } = holder
  const at = typeof key === 'string' ? key : own[0]
  if (at !== undefined && typeof crc === 'number') {
    if (typeof start === 'number' && typeof length === 'number') yield { holder, key: at, start, length }
    else if (typeof bytes === 'number') yield { holder, key: at }
  } else if (at !== undefined && pack !== null && typeof pack === 'object') {
    const { start: first, sizes } = pack as { start: number; sizes: number[] }
    yield { holder, key: at, start: first, length: sizes.reduce((sum, size) => sum + size, 0) }
  }
  for (const member of Object.values(holder)) yield* referencesIn(member, own)
}

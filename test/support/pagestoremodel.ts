/** A page store's contents as plain values, random operations on both, and their comparison. */
import fc from 'fast-check'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ReplayStore } from '../../src/replay/replay.ts'
import type { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import type { StoreIdentity } from '../../src/replay/pagestore/statefile.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'

export const IDENTITY: StoreIdentity = { systemIdentifier: 7425000000000000001n, major: 17, catalogVersion: 202406281, checksums: false }

/** Two databases and a tablespace are enough to meet every case. */
export const DIRECTORIES = [{ spcOid: 1663, dbOid: 1 }, { spcOid: 1663, dbOid: 5 }, { spcOid: 16390, dbOid: 5 }, { spcOid: 1664, dbOid: 0 }] as const
export const RELATIONS = [1249, 16384, 16385]
export const FORKS = [0, 2, 3]
const SLRUS = ['clog', 'multiOffsets', 'multiMembers'] as const
const SLRU_DIRS = { clog: 'pg_xact', multiOffsets: 'pg_multixact/offsets', multiMembers: 'pg_multixact/members' }
const XIDS = [3, 700, 0xfffffff0]

export type Op =
  | { op: 'write'; dir: number; rel: number; fork: number; block: number; value: number }
  | { op: 'read'; dir: number; rel: number; fork: number; block: number }
  | { op: 'create'; dir: number; rel: number; fork: number }
  | { op: 'truncate'; dir: number; rel: number; fork: number; blocks: number }
  | { op: 'drop' | 'disown'; dir: number; rel: number }
  | { op: 'createDatabase' | 'dropDatabase'; dir: number }
  | { op: 'copyDatabase'; from: number; dir: number }
  | { op: 'relationMap'; dir: number; value: number }
  | { op: 'dropTablespace' | 'createTablespace' }
  | { op: 'slru' | 'zero' | 'dropSegment'; slru: number; page: number; value: number }
  | { op: 'prepare'; xid: number; value: number }
  | { op: 'resolve'; xid: number }
  | { op: 'flush' | 'reopen' }

const place = { dir: fc.nat(3), rel: fc.nat(2), fork: fc.nat(2) }
const value = fc.integer({ min: 1, max: 0x7fffffff })
const block = fc.oneof({ weight: 5, arbitrary: fc.nat(12) }, fc.nat(900))

export const arbitraryOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ op: fc.constant('write' as const), ...place, block, value }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('read' as const), ...place, block }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('create' as const), ...place }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('truncate' as const), ...place, blocks: block }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('drop' as const, 'disown' as const), dir: fc.nat(3), rel: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('createDatabase' as const, 'dropDatabase' as const), dir: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('copyDatabase' as const), from: fc.nat(2), dir: fc.nat(2) }).filter(({ from, dir }) => from !== dir) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('relationMap' as const), dir: fc.nat(3), value }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('dropTablespace' as const, 'createTablespace' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom('slru' as const, 'slru' as const, 'zero' as const, 'dropSegment' as const), slru: fc.nat(2), page: fc.nat(70), value,
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('prepare' as const), xid: fc.nat(2), value }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('resolve' as const), xid: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('flush' as const, 'flush' as const, 'reopen' as const) }) },
)

/** Pages are one number each: their first word; 0 is a zero page. */
export interface Model {
  directories: Set<number>
  /** `<dir>/<rel>/<fork>`. */
  forks: Map<string, number[]>
  indexes: Set<string>
  maps: Map<number, number>
  slrus: Map<number, number>[]
  prepared: Map<number, number>
}

export function emptyModel(): Model {
  return { directories: new Set([3]), forks: new Map(), indexes: new Set(), maps: new Map(), slrus: [new Map(), new Map(), new Map()], prepared: new Map() }
}

/** What happens at init forks when a flush comes: the main fork becomes a copy. */
export function settleModel(model: Model, touchedInits: Set<string>): void {
  for (const key of touchedInits) {
    const init = model.forks.get(key)
    if (init !== undefined) model.forks.set(key.replace(/\/2$/, '/0'), [...init])
  }
  touchedInits.clear()
}

export function applyToModel(model: Model, op: Op, touchedInits: Set<string>): void {
  const key = 'rel' in op && 'fork' in op ? `${op.dir}/${op.rel}/${op.fork}` : ''
  const index = 'rel' in op && model.indexes.has(`${op.dir}/${op.rel}`)
  const dropRelation = (dir: number, rel: number): void => {
    for (const fork of [0, 1, 2]) model.forks.delete(`${dir}/${rel}/${fork}`)
    touchedInits.delete(`${dir}/${rel}/2`)
  }
  const dropDirectory = (dir: number): void => {
    model.directories.delete(dir)
    model.maps.delete(dir)
    for (const rel of [0, 1, 2]) dropRelation(dir, rel)
    for (const name of model.indexes) if (name.startsWith(`${dir}/`)) model.indexes.delete(name)
  }
  const make = (): number[] => {
    const found = model.forks.get(key) ?? []
    if (!model.forks.has(key) && key.endsWith('/2')) touchedInits.add(key)
    model.forks.set(key, found)
    model.directories.add((op as { dir: number }).dir)
    return found
  }
  switch (op.op) {
    case 'write': {
      if (index) return
      const pages = make()
      while (pages.length <= op.block) pages.push(0)
      pages[op.block] = op.value
      if (op.fork === 2) touchedInits.add(key)
      return
    }
    case 'read':
      if (!index) make()
      return
    case 'create':
      if (op.fork !== 1) model.indexes.delete(`${op.dir}/${op.rel}`)
      else if (index) return
      make()
      return
    case 'truncate': {
      const pages = model.forks.get(key)
      if (pages === undefined || pages.length <= op.blocks) return
      pages.length = op.blocks
      if (op.fork === 2) touchedInits.add(key)
      return
    }
    case 'drop':
      dropRelation(op.dir, op.rel)
      model.indexes.delete(`${op.dir}/${op.rel}`)
      return
    case 'disown':
      dropRelation(op.dir, op.rel)
      model.indexes.add(`${op.dir}/${op.rel}`)
      return
    case 'createDatabase':
      model.directories.add(op.dir)
      return
    case 'dropDatabase':
      return dropDirectory(op.dir)
    case 'copyDatabase':
      dropDirectory(op.dir)
      model.directories.add(op.dir)
      settleModel(model, new Set([...touchedInits].filter((name) => name.startsWith(`${op.from}/`))))
      for (const [name, pages] of model.forks) {
        if (!name.startsWith(`${op.from}/`)) continue
        model.forks.set(name.replace(/^\d/, String(op.dir)), [...pages])
      }
      if (model.maps.has(op.from)) model.maps.set(op.dir, model.maps.get(op.from)!)
      for (const name of model.indexes) if (name.startsWith(`${op.from}/`)) model.indexes.add(name.replace(/^\d/, String(op.dir)))
      return
    case 'relationMap':
      model.maps.set(op.dir, op.value)
      model.directories.add(op.dir)
      return
    case 'dropTablespace':
      return dropDirectory(2)
    case 'createTablespace':
      return
    case 'slru':
    case 'zero': {
      const slru = model.slrus[op.slru]!
      for (let n = op.page - (op.page % 32); n < op.page; n++) if (!slru.has(n)) slru.set(n, 0)
      slru.set(op.page, op.op === 'zero' ? 0 : op.value)
      return
    }
    case 'dropSegment': {
      const segment = Math.floor(op.page / 32)
      for (const n of model.slrus[op.slru]!.keys()) if (Math.floor(n / 32) === segment) model.slrus[op.slru]!.delete(n)
      return
    }
    case 'prepare':
      model.prepared.set(op.xid, op.value)
      return
    case 'resolve':
      model.prepared.delete(op.xid)
  }
}

function bytesOf(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value, value, value).buffer)
}

export function applyToStore(store: ReplayStore, op: Op, lsn: number): void {
  store.beginRecord(lsn)
  const dir = 'dir' in op ? DIRECTORIES[op.dir]! : DIRECTORIES[0]
  const locator = { ...dir, relNumber: 'rel' in op ? RELATIONS[op.rel]! : 0 }
  const fork = 'fork' in op ? FORKS[op.fork]! : 0
  switch (op.op) {
    case 'write': {
      const found = store.fork(dir.spcOid, dir.dbOid, locator.relNumber, fork)
      if (found === undefined) break
      const page = found.page(op.block) ?? found.extend(op.block)
      page.words.fill(op.value)
      page.dirty = true
      break
    }
    case 'read':
      store.fork(dir.spcOid, dir.dbOid, locator.relNumber, fork)?.page(op.block)
      break
    case 'create':
      store.create(locator, fork)
      break
    case 'truncate':
      store.truncate(locator, fork, op.blocks)
      break
    case 'drop':
      store.drop(locator)
      break
    case 'disown':
      store.disown(locator)
      break
    case 'createDatabase':
      store.createDatabase(dir)
      break
    case 'dropDatabase':
      store.dropDatabase(dir)
      break
    case 'copyDatabase':
      store.copyDatabase(DIRECTORIES[op.from]!, dir)
      break
    case 'relationMap':
      store.writeRelationMap(dir, bytesOf(op.value))
      break
    case 'dropTablespace':
      store.dropTablespace(16390)
      break
    case 'createTablespace':
      store.createTablespace(16390)
      break
    case 'slru':
      wordsOf(store[SLRUS[op.slru]!].change(op.page)).fill(op.value)
      break
    case 'zero':
      store[SLRUS[op.slru]!].zero(op.page)
      break
    case 'dropSegment':
      store[SLRUS[op.slru]!].dropSegment(Math.floor(op.page / 32))
      break
    case 'prepare':
      store.savePrepared(XIDS[op.xid]!, bytesOf(op.value), 2)
      break
    case 'resolve':
      store.removePrepared(XIDS[op.xid]!, 2)
  }
  store.endRecord()
}

function wordsOf({ buffer, byteOffset, length }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length / 4)
}

/** What the store's interface shows, as a model. */
export function modelOfStore(store: ReplayStore): Model {
  const model = emptyModel()
  model.directories = new Set()
  for (const [d, dir] of DIRECTORIES.entries()) {
    if (store.directoryExists(dir)) model.directories.add(d)
    for (const [r, relNumber] of RELATIONS.entries()) {
      for (const [f, fork] of FORKS.entries()) {
        if (!store.exists({ ...dir, relNumber }, fork)) continue
        const found = store.fork(dir.spcOid, dir.dbOid, relNumber, fork)!
        const pages: number[] = []
        for (let n = 0; n < found.blocks; n++) {
          pages.push(pageValue(found.page(n)!.words))
          store.endRecord()
        }
        model.forks.set(`${d}/${r}/${f}`, pages)
      }
    }
  }
  for (const [s, name] of SLRUS.entries()) {
    for (let n = 0; n < 128; n++) {
      const page = store[name].page(n)
      if (page !== undefined) model.slrus[s]!.set(n, pageValue(wordsOf(page)))
    }
  }
  return model
}

/** What a store in memory has beside that. */
export function modelOfMemory(store: MemoryReplayStore): Model {
  const model = modelOfStore(store)
  for (const [d, { spcOid, dbOid }] of DIRECTORIES.entries()) {
    const map = store.maps.get(`${spcOid}/${dbOid}`)
    if (map !== undefined) model.maps.set(d, wordsOf(map)[0]!)
  }
  for (const [name, bytes] of store.prepared) model.prepared.set(XIDS.indexOf(Number.parseInt(name.slice(8), 16)), wordsOf(bytes)[0]!)
  return model
}

/** What the files say, read without the store: a folder is exactly its last flush. */
export function modelOfFiles(root: string): Model {
  const model = emptyModel()
  model.directories = new Set()
  for (const [d, { spcOid, dbOid }] of DIRECTORIES.entries()) {
    const dir = join(root, spcOid === 1664 ? 'global' : spcOid === 1663 ? `base/${dbOid}` : `pg_tblspc/${spcOid}/PG_17_202406281/${dbOid}`)
    if (!existsSync(dir)) continue
    model.directories.add(d)
    for (const name of readdirSync(dir)) {
      const match = /^(\d+)(_vm|_init)?$/.exec(name)
      const bytes = readFileSync(join(dir, name))
      if (match) model.forks.set(`${d}/${RELATIONS.indexOf(Number(match[1]))}/${['', '_vm', '_init'].indexOf(match[2] ?? '')}`, pageValues(bytes))
      else if (name === 'pg_filenode.map') model.maps.set(d, bytes.readUInt32LE(0))
      else if (name !== 'PG_VERSION') throw new Error(`unexpected file ${dir}/${name}`)
    }
  }
  for (const [s, slru] of SLRUS.entries()) {
    for (const name of readdirSync(join(root, SLRU_DIRS[slru]))) {
      for (const [i, value] of pageValues(readFileSync(join(root, SLRU_DIRS[slru], name))).entries()) {
        model.slrus[s]!.set(Number.parseInt(name, 16) * 32 + i, value)
      }
    }
  }
  for (const name of readdirSync(join(root, 'pg_twophase'))) {
    if (!name.startsWith('00000002') || name.length !== 16) throw new Error(`unexpected name ${name}`)
    model.prepared.set(XIDS.indexOf(Number.parseInt(name.slice(8), 16)), readFileSync(join(root, 'pg_twophase', name)).readUInt32LE(0))
  }
  return model
}

function pageValues(bytes: Buffer): number[] {
  if (bytes.length % BLOCK_SIZE !== 0) throw new Error(`file of ${bytes.length} bytes`)
  const copy = new Int32Array(new Uint8Array(bytes).buffer)
  return Array.from({ length: bytes.length / BLOCK_SIZE }, (_, i) => pageValue(copy.subarray((i * BLOCK_SIZE) / 4, ((i + 1) * BLOCK_SIZE) / 4)))
}

/** Every word of a page is the same, or the page is torn. */
function pageValue(words: Int32Array): number {
  const first = words[0]!
  for (let i = 1; i < words.length; i++) if (words[i] !== first) throw new Error(`torn page: word 0 is ${first}, word ${i} is ${words[i]}`)
  return first
}

/** For a comparison with what an interface shows: not every part is visible everywhere. */
export function visibleParts({ forks, slrus, directories }: Model): unknown {
  return { forks: sorted(forks), slrus: slrus.map(sorted), directories: [...directories].sort() }
}

export function fileParts({ forks, slrus, directories, maps, prepared }: Model): unknown {
  return { forks: sorted(forks), slrus: slrus.map(sorted), directories: [...directories].sort(), maps: sorted(maps), prepared: sorted(prepared) }
}

function sorted<K, V>(map: Map<K, V>): [K, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

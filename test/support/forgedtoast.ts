/** Rows with out-of-line values, their TOAST chunks or their pointers as a forger writes them: to Parquet and back, and to text. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Relation } from '../../src/catalog/relations.ts'
import type { RelationDescriptor } from '../../src/columnar/filedescriptor.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import type { ToastSource } from '../../src/tuple/toastsource.ts'
import { type TranscodedFile, transcodePages } from '../../src/columnar/transcode.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import type { BytesVector, StructVector, WordVector } from '../../src/vector/vector.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { SegmentPages } from '../../src/io/datadir/segmentpages.ts'
import { HeapReader } from '../../src/jobs/inspect/heapreader.ts'
import { buildToastIndex } from '../../src/columnar/toastindex.ts'
import { ToastReader } from '../../src/columnar/toastreader.ts'
import { canonicalPage, newPageBuffer } from '../../src/page/canonical.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../../src/page/linepointer.ts'
import type { Snapshot } from '../../src/xact/snapshot.ts'
import { withoutChecksums } from './forge.ts'
import { changeTuple, type ChangedTuple, writeInPlace } from './forgedbytes.ts'
import type { Random } from './random.ts'

export interface ForgedToastSetup {
  dataDir: string
  dbOid: number
  /** In schema public; each of its rows has a value out of line. */
  table: string
  /** An empty folder. */
  scratch: string
}

type Plant = (toast: ToastSource) => ToastSource
/** Faults of reading chunks, for tests of this test: to text, and to a file. */
export interface ToastPlants {
  text?: Plant
  file?: Plant
}

const untouched: Plant = (toast) => toast

export class ForgedToast {
  private readonly major: PgMajor
  private readonly relation: Relation
  private readonly snapshot: Snapshot
  private readonly systemIdentifier: string
  private readonly heap: Uint8Array
  private readonly chunks: Uint8Array
  private readonly heapFile: string
  private readonly toastFile: string
  /** As they are when nothing is changed, by place. */
  private readonly rows: ReadonlyMap<string, string>
  private readonly values: ReadonlyMap<string, string>
  private readonly pointers: ReadonlyMap<string, number[]>
  private readonly columns: readonly string[]

  constructor(setup: ForgedToastSetup, major: PgMajor) {
    this.major = major
    const cluster = openCluster(setup.dataDir)
    const relations = cluster.relations(setup.dbOid)
    this.relation = relations.find(({ schema, name }) => schema === 'public' && name === setup.table)!
    const toast = relations.find(({ oid }) => oid === this.relation.toastRelId)!
    this.snapshot = cluster.snapshot
    this.systemIdentifier = String(cluster.systemIdentifier)
    const [heap, chunks] = [this.relation, toast].map((relation) => new Uint8Array(readFileSync(join(setup.dataDir, cluster.relativePath(relation)))))
    this.heap = heap!
    this.chunks = chunks!
    this.heapFile = join(setup.scratch, 'heap')
    this.toastFile = join(setup.scratch, 'toast')
    writeFileSync(this.heapFile, this.heap)
    writeFileSync(this.toastFile, this.chunks)
    this.rows = this.read()
    this.columns = this.relation.desc!.attributes.filter(({ len }) => len === -1).map(({ name }) => name)
    this.values = valuesOf(this.transcode(this.heap, 'fail', untouched).parquet, this.columns)
    this.pointers = pointersOf(this.heap, this.relation.toastRelId)
  }

  /**
   * Pages are rebuilt bit for bit, whatever their values look like. Rows whose tuple and chunks were not changed have their values, as text and
   * in the file.
   */
  run(dice: Random, plants: ToastPlants = {}): void {
    const [heap, chunks] = [this.heap.slice(), this.chunks.slice()]
    const valueIds = new Set<number>()
    const blocks = { heap: new Set<number>(), chunks: new Set<number>() }
    for (let left = dice.pick([1, 1, 2, 5]); left > 0; left--) {
      const isChunk = dice.int(3) > 0
      const pages = isChunk ? chunks : heap
      const block = dice.int(pages.length / BLOCK_SIZE)
      blocks[isChunk ? 'chunks' : 'heap'].add(block)
      const changed = changeTuple(pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), block, dice, isChunk ? { reach: dice.pick([16, 16, 4096]) } : {})
      if (isChunk && changed !== undefined) for (const id of valueIdsOf(changed)) valueIds.add(id)
    }
    writeInPlace(this.heapFile, heap, blocks.heap)
    writeInPlace(this.toastFile, chunks, blocks.chunks)
    try {
      this.check(heap, valueIds, dice, plants)
    } finally {
      writeInPlace(this.heapFile, this.heap, blocks.heap)
      writeInPlace(this.toastFile, this.chunks, blocks.chunks)
    }
  }

  private check(heap: Uint8Array, valueIds: ReadonlySet<number>, dice: Random, { text = untouched, file = untouched }: ToastPlants): void {
    const isChanged = (place: string): boolean => this.pointers.get(place)!.some((id) => valueIds.has(id)) || !sameTuple(heap, this.heap, place)
    this.sameRows(isChanged, text)
    this.sameFile(heap, this.transcode(heap, dice.pick(['fail', 'carry']), file), isChanged, dice.int(3) === 0)
  }

  /** Rows by place, as text. */
  private read(plant = untouched): Map<string, string> {
    const { desc, name, database: { encoding } } = this.relation
    return this.withToast((toast) => {
      const rows = new Map<string, string>()
      const reader = new HeapReader({
        name, fork: new SegmentPages(this.heapFile, [0]), checksums: true, major: this.major, snapshot: this.snapshot, desc, encoding,
        toast: () => plant(toast), missingToast: 'pointer',
      })
      try {
        for (const row of reader.rows({ dead: true, onDamage: () => {} })) rows.set(`${row.block}/${row.offset}`, JSON.stringify(row))
      } finally {
        reader.close()
      }
      return rows
    })
  }

  private withToast<T>(body: (toast: ToastReader) => T): T {
    const fork = new SegmentPages(this.toastFile, [0])
    try {
      return body(new ToastReader(this.relation.toastRelId, fork, buildToastIndex(fork, this.snapshot)))
    } finally {
      fork.close()
    }
  }

  private sameRows(isChanged: (place: string) => boolean, plant: Plant): void {
    const found = this.read(plant)
    for (const [place, row] of this.rows) {
      if (isChanged(place) || found.get(place) === row) continue
      throw new Error(`silent difference: row ${place} was ${row.slice(0, 300)}, now ${String(found.get(place)).slice(0, 300)}`)
    }
  }

  private transcode(heap: Uint8Array, onCorrupt: 'fail' | 'carry', plant: Plant): TranscodedFile {
    const { locator, database, schema, name, oid, relkind, desc } = this.relation
    const relation: RelationDescriptor = {
      ...locator, database: database.name, schema, name, oid, relkind, blocks: heap.length / BLOCK_SIZE, encoding: database.encoding, desc: desc!,
    }
    return this.withToast((toast) => transcodePages(relation, heap, {
      visibility: this.snapshot, toast: plant(toast), checksums: true, onCorrupt, compression: 'none', generate: false,
      cluster: { systemIdentifier: this.systemIdentifier, major: this.major, checksums: true, lsn: '0/1', profile: 'portable' },
    }))
  }

  private sameFile(heap: Uint8Array, { parquet, damaged }: TranscodedFile, isChanged: (place: string) => boolean, withValues: boolean): void {
    const pages = withoutChecksums(rebuildPages(parquet))
    const carried = new Set(damaged.map(({ block }) => block))
    for (let block = 0; block < heap.length / BLOCK_SIZE; block++) {
      const wanted = carried.has(block) ? heap.slice(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE) : canonicalOf(heap, block)
      if (Buffer.compare(pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), withoutChecksums(wanted)) === 0) continue
      throw new Error(`silent difference: block ${block} is rebuilt as another page`)
    }
    if (!withValues) return
    const values = valuesOf(parquet, this.columns)
    for (const [place, value] of this.values) {
      if (isChanged(place) || carried.has(Number(place.split('/')[0])) || values.get(place) === value) continue
      throw new Error(`silent difference: the file's row ${place} was ${value.slice(0, 300)}, now ${String(values.get(place)).slice(0, 300)}`)
    }
  }
}

function canonicalOf(heap: Uint8Array, block: number): Uint8Array {
  const page = newPageBuffer()
  canonicalPage(new Int32Array(heap.buffer, heap.byteOffset, heap.length / 4), (block * BLOCK_SIZE) / 4, page)
  return page.bytes
}

/** Values of the file's text columns, by the row's place. */
function valuesOf(parquet: Uint8Array, names: readonly string[]): Map<string, string> {
  const reader = readParquet(parquet)
  const values = new Map<string, string>()
  for (let group = 0; group < reader.rowGroups; group++) {
    const { rows, columns } = reader.readRowGroup(group)
    const ltap = reader.fields.at(-1)!
    const [block, offset] = ['block', 'offset'].map((name) => {
      const index = ltap.children!.findIndex((child) => child.name === name)
      return (columns.at(-1) as StructVector).children[index] as WordVector
    })
    for (let row = 0; row < rows; row++) {
      const texts = names.map((name) => {
        const vector = columns[reader.fields.findIndex((field) => field.name === name)] as BytesVector
        return vector.isNull(row) ? null : Buffer.from(vector.view(row)).toString('latin1')
      })
      values.set(`${block!.words[row * 2]}/${offset!.words[row]}`, JSON.stringify(texts))
    }
  }
  return values
}

/** Value ids of the pointers in each row, by place: `01 12`, raw size, stored size, value id, TOAST relation. */
function pointersOf(heap: Uint8Array, toastRelId: number): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (let block = 0; block < heap.length / BLOCK_SIZE; block++) {
    const page = heap.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
    const view = new DataView(page.buffer, page.byteOffset, BLOCK_SIZE)
    for (let offset = 1; offset <= linePointerCount(page); offset++) {
      const item = linePointer(page, offset)
      if (lpFlags(item) !== LP_NORMAL) continue
      const ids: number[] = []
      for (let at = lpOff(item); at + 18 <= lpOff(item) + lpLen(item); at++) {
        if (page[at] === 1 && page[at + 1] === 18 && view.getUint32(at + 14, true) === toastRelId) ids.push(view.getUint32(at + 10, true))
      }
      found.set(`${block}/${offset}`, ids)
    }
  }
  return found
}

function sameTuple(a: Uint8Array, b: Uint8Array, place: string): boolean {
  const [block, offset] = place.split('/').map(Number)
  const from = block! * BLOCK_SIZE
  const item = linePointer(a.subarray(from), offset!)
  return Buffer.compare(a.subarray(from + lpOff(item), from + lpOff(item) + lpLen(item)), b.subarray(from + lpOff(item), from + lpOff(item) + lpLen(item))) === 0
}

/** The value ids that a chunk has and had. */
function valueIdsOf({ before, after }: ChangedTuple): number[] {
  return [[before, before], [before, after], [after, after]].map(([header, tuple]) => {
    const at = header![22]!
    return at + 4 <= tuple!.length ? new DataView(tuple!.buffer).getUint32(at, true) : 0
  })
}

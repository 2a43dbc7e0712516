/** Tables of the simulation as a lake has them: descriptions, entries of files and block indexes, so that what is shipped can publish and merge them. */
import { grownColumnFields } from '../../src/columnar/fieldhistory.ts'
import type { FileSummary, UnresolvedRun } from '../../src/columnar/filesummary.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import { catalogEdit } from '../../src/lake/clusterinfo.ts'
import { DEFAULT_PACKING } from '../../src/lake/clusterinfo.ts'
import type { LayerFile, PackedFile } from '../../src/lake/layer.ts'
import { layerFile, storedBlocks } from '../../src/lake/layer.ts'
import { PackBuilder } from '../../src/lake/pack.ts'
import { encodeDescription, relationInfoJson } from '../../src/lake/relationinfo.ts'
import type { EntryKey } from '../../src/lake/state/entries.ts'
import type { PieceRef } from '../../src/lake/state/page.ts'
import { parseRelationKey, type StateInfo } from '../../src/lake/state/relationlayers.ts'
import { type SimBlock, type SimTuple, type TransactionEnd } from './simcluster.ts'

/** Blocks of one relation, in their order. */
export type SimFile = readonly [block: number, content: SimBlock][]

export const DATABASE = { oid: 5, name: 'shop', template: false } as const

const INT4: TypeDef = { oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base', len: 4, align: 4, storage: 'p', delimiter: ',' }
const DESC = {
  attributes: ['account', 'balance'].map((name, i) => (
    { attnum: i + 1, name, type: { oid: INT4.oid, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false })),
  types: [INT4],
}
const CONTEXT = { major: 17, profile: 'portable', encoding: 6, desc: DESC, overflow: [], displayScales: {}, pageFlags: 0 } as const

/** Every table has two columns. */
export const DESCRIPTION: Uint8Array = encodeDescription(
  { encoding: 6, desc: DESC, fields: grownColumnFields(undefined, CONTEXT).history, overflow: [], virtualColumns: [] })

/** What a state has of the cluster as a whole. */
export const CATALOG: ReturnType<typeof catalogEdit>[] = [
  catalogEdit({ kind: 'database', database: DATABASE }),
  catalogEdit({
    kind: 'cluster', cluster: {
      major: 17, catalogVersion: 202406281, blockSize: BLOCK_SIZE, checksums: false, createdBy: 'ltap', complete: true, source: '/data', orphans: [],
      temporaryFiles: 0, nextXid: 100, packing: DEFAULT_PACKING,
    },
  }),
]

/** @param oid of the table, which stays when it is rewritten */
export function tableInfo(relation: EntryKey, oid: number, description: PieceRef): StateInfo {
  return relationInfoJson({
    schema: 'public', name: `t${oid}`, oid, relkind: 'r', persistence: 'p', path: `base/${DATABASE.oid}/${parseRelationKey(relation).relNumber}`, visible: true,
    toastRelId: 0, parents: [], description,
  })
}

/** What a reader finds in place of a block without tuples: one row that says that the page is there. */
export function rowsOfFile(file: SimFile): (SimTuple | undefined)[] {
  return file.flatMap(([, block]) => (block.length === 0 ? [undefined] : [...block]))
}

/** @param padding characters by which the entry is longer, about */
function summaryOf(file: SimFile, ended: TransactionEnd, padding: number): FileSummary {
  const hidden: number[] = []
  const unresolved: UnresolvedRun[] = []
  for (const [row, tuple] of rowsOfFile(file).entries()) {
    const [inserted, deleted] = tuple ? [ended(tuple.xmin), tuple.xmax === 0 ? 'aborted' : ended(tuple.xmax)] : ['aborted', 'aborted']
    if (inserted !== 'committed' || deleted === 'committed') hidden.push(row)
    if (tuple && inserted === 'open') unresolved.push({ first: row, count: 1, xid: tuple.xmin, which: 'xmin' })
    if (tuple && inserted !== 'aborted' && deleted === 'open') unresolved.push({ first: row, count: 1, xid: tuple.xmax, which: 'xmax' })
  }
  const bound = new Uint8Array(60)
  return {
    columns: Array.from({ length: Math.ceil(padding / 200) }, (_, i) => ({ id: 1000 + i, nulls: 0, lower: bound, upper: bound })),
    hidden: BlockSet.of(hidden), unresolved, damaged: BlockSet.EMPTY,
    pages: {
      lsns: new Uint32Array(file.length * 2), crcs: Uint32Array.from(file, ([, block]) => crc32c(pageOf(block))),
      rows: Uint32Array.from(file, ([, block]) => Math.max(block.length, 1)),
    },
  }
}

function pageOf(block: SimBlock): Uint8Array {
  return Buffer.from(JSON.stringify(block))
}

function blocksOf(file: SimFile): BlockSet {
  return BlockSet.of(file.map(([block]) => block))
}

/** A file of a relation of its own. @returns its entry, and the objects to put */
export function tableFile(
  key: string, file: SimFile, ended: TransactionEnd, padding: number,
): { file: LayerFile; bytes: Uint8Array; index: { key: string; bytes: Uint8Array } | undefined } {
  const bytes = Buffer.from(JSON.stringify({ blocks: file }))
  const indexKey = key.replace(/\.json$/, '.index')
  const made = layerFile({ key, bytes: bytes.length, crc: crc32c(bytes) }, indexKey, blocksOf(file), { summary: summaryOf(file, ended, padding) })
  return { file: made.file, bytes, index: made.index && { key: indexKey, bytes: made.index } }
}

/** Gathers blocks of small relations that are committed together. */
export class SimPack {
  readonly key: string
  private readonly builder = new PackBuilder('none')
  private readonly pages: Uint8Array[] = []

  /** @param name of the object */
  constructor(name: string) {
    this.key = `ltap/packs/${name}.pack`
  }

  get isEmpty(): boolean {
    return this.pages.length === 0
  }

  add(relation: EntryKey, file: SimFile, layer: { smallest: number; length: number }, ended: TransactionEnd): PackedFile {
    const { creationLsn, ...locator } = parseRelationKey(relation)
    const stored = storedBlocks(blocksOf(file), summaryOf(file, ended, 0))
    const pages = file.map(([, block]) => pageOf(block))
    this.pages.push(...pages)
    const [high, low] = creationLsn.split('/') as [string, string]
    const created = (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
    const pack = this.builder.add({ ...locator, created, ...layer, sizes: pages.map(({ length }) => length), index: stored.index as Uint8Array })
    return { ...stored, index: stored.index as Uint8Array, key: this.key, pack }
  }

  bytes(): Uint8Array {
    return Buffer.concat([this.builder.begin(), ...this.pages, this.builder.end()])
  }
}


/** Files that are merged equal one that is written of the same pages at once: pages, values, hidden and unresolved rows, bounds. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import type { RelationDescriptor } from '../../src/columnar/filedescriptor.ts'
import type { FileSummary, TransactionStates } from '../../src/columnar/filesummary.ts'
import { mergeFiles, type MergedFile, type MergeInput } from '../../src/columnar/mergefiles.ts'
import { openLakeFile, rebuildPages } from '../../src/columnar/rebuild.ts'
import { newColumnFields } from '../../src/columnar/schema.ts'
import { transcodeFile, type WrittenFile } from '../../src/columnar/transcode.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { type ArbitraryTable, joined, table } from '../support/arbitrarypages.ts'
import { COMMON_TYPES } from '../support/arbitrarytypes.ts'
import { clusterOf, relationOf, transcodeOptions } from '../support/relation.ts'
import { StrictPages } from '../support/strictpages.ts'
import { valueAt } from './lakevalues.ts'

/** As VISIBILITY of arbitrarypages, with transactions that are open. */
const STATES: TransactionStates = {
  xminStatus: (xmin) => ['committed', 'committed', 'in-progress', 'aborted'][xmin % 4]!,
  xmaxStatus: (xmax, infomask) => xmax === 0 ? 'none' : infomask & 0x0800 ? 'aborted' : ['aborted', 'committed', 'in-progress'][xmax % 3]!,
  deleter: (xmax) => xmax,
  nextXid: { low: 5000, epoch: 3 },
}

interface Written extends WrittenFile {
  parquet: Uint8Array
  summary: FileSummary
}

/** Undefined if a column needs an overflow child: its description would change. */
async function write(relation: RelationDescriptor, pages: Uint8Array, blocks: BlockSet, toast: ArbitraryTable['toast']): Promise<Written | undefined> {
  const parts: Uint8Array[] = []
  const options = transcodeOptions({ toast, transactions: STATES })
  const found = await transcodeFile(relation, new StrictPages(pages), blocks, options, (bytes) => void parts.push(bytes.slice()))
  return 'wanted' in found ? undefined : { ...found, summary: found.summary!, parquet: Buffer.concat(parts) }
}

function relation2(desc: TupleDesc, blocks: number, others: TupleDesc = desc): RelationDescriptor {
  const relation = relationOf(desc, blocks)
  const context = { major: 17, profile: 'portable', encoding: relation.encoding, desc: others, displayScales: {}, pageFlags: 0 } as const
  const attnums = new Set(desc.attributes.filter(({ dropped, virtual }) => !dropped && !virtual).map(({ attnum }) => attnum))
  return { ...relation, fields: newColumnFields(context).filter(({ attnum }) => attnums.has(attnum)) }
}

/** The same table after a column was dropped and another one added. */
function later(desc: TupleDesc, dropped: number, isAdded: boolean): TupleDesc {
  const attributes = desc.attributes.map((attribute, i) => {
    const { missing: _, ...rest } = attribute
    return i === dropped && !attribute.virtual ? { ...rest, name: `........pg.dropped.${i + 1}........`, type: { oid: 0, typmod: -1 }, dropped: true } : attribute
  })
  if (!isAdded) return { ...desc, attributes }
  const int4 = COMMON_TYPES.find(({ ref: { oid } }) => oid === 23)!.defs[0]
  const types = desc.types.some(({ oid }) => oid === 23) ? desc.types : [...desc.types, int4]
  const added = { attnum: attributes.length + 1, name: 'added', type: { oid: 23, typmod: -1 }, len: 4, align: 4 as const, plain: true, dropped: false, virtual: false }
  return { attributes: [...attributes, added], types }
}

interface Case {
  t: ArbitraryTable
  /** Of each block: which of three layers wrote it last. */
  owners: number[]
  dropped: number
}

const CASES: fc.Arbitrary<Case> = table({ columns: 6, rows: 12, pages: 6 }).chain((t) => fc.record({
  t: fc.constant(t), owners: fc.array(fc.nat(2), { minLength: t.pages.length, maxLength: t.pages.length }), dropped: fc.integer({ min: -1, max: t.columns.length - 1 }),
}))

interface Merged {
  merged: MergedFile
  parquet: Uint8Array
  fresh: Written
}

/** @param change what stands in the way of a right merge */
async function merge({ t, owners, dropped }: Case, change: (inputs: MergeInput[]) => void = () => {}): Promise<Merged | undefined> {
  const length = t.pages.length
  const isAdded = t.pages.every(({ tuples }) => tuples.every((tuple) => (tuple?.extra ?? 0) === 0))
  const all = later(t.desc, -1, isAdded)
  const [before, after] = [relation2(t.desc, length, all), relation2(later(t.desc, dropped, isAdded), length, all)]
  // Layer 0 has all blocks, layer 1 those that it or layer 2 owns, layer 2 its own: with other pages each.
  const layerPages = [0, 1, 2].map((layer) => t.pages.map((_, block) => t.pages[(block + layer) % length]!))
  const current = [0, 1, 2].map((layer) => BlockSet.of(owners.flatMap((owner, block) => (owner === layer ? [block] : []))))
  const inputs: MergeInput[] = []
  for (const [layer, pages] of layerPages.entries()) {
    const blocks = BlockSet.of(owners.flatMap((owner, block) => (owner >= layer ? [block] : [])))
    if (blocks.size === 0) continue
    const written = await write(layer < 2 ? before : after, joined(pages), blocks, t.toast)
    if (written === undefined) return undefined
    inputs.push({ file: openLakeFile(written.parquet), name: `layer ${layer}`, rows: { ...written.summary, blocks }, current: current[layer]! })
  }
  const newest = t.pages.map((_, block) => layerPages[owners[block]!]![block]!)
  const fresh = await write(after, joined(newest), BlockSet.range(0, length), t.toast)
  if (fresh === undefined) return undefined
  change(inputs)
  const parts: Uint8Array[] = []
  const merged = await mergeFiles({ ...clusterOf(false), relation: after }, inputs, { compression: 'none' }, (bytes) => void parts.push(bytes.slice()))
  return { merged, parquet: Buffer.concat(parts), fresh }
}

/** User columns and the text lane, row by row. */
function valuesOf(parquet: Uint8Array): unknown[][] {
  const { reader, schema } = openLakeFile(parquet)
  return Array.from({ length: reader.rowGroups }, (_, group) => reader.readRowGroup(group)).flatMap(({ rows, columns }) => Array.from({ length: rows }, (_, row) => (
    schema.fields.flatMap((field, i) => (field.name === '_ltap' ? [] : [valueAt(columns[i]!, field.type, row)])))))
}

/** A page that is decoded value by value may put other values into the raw lane, of a dropped column for example. */
const LANES = ['pages', 'tuples', 'structureRows', 'native', 'text'] as const

describe('files that are merged', () => {
  test('equal one that is written of the same pages', async () => {
    let compared = 0
    await fc.assert(fc.asyncProperty(CASES, async (given) => {
      const found = await merge(given)
      if (found === undefined) return
      const { merged, parquet, fresh } = found
      compared++
      expect(Buffer.from(rebuildPages(parquet)).equals(Buffer.from(rebuildPages(fresh.parquet)))).toBe(true)
      expect(valuesOf(parquet)).toEqual(valuesOf(fresh.parquet))
      expect({ ...merged.summary, hidden: [...merged.summary.hidden] }).toEqual({ ...fresh.summary, hidden: [...fresh.summary.hidden] })
      expect(merged.rows).toBe(fresh.rows)
      for (const lane of LANES) expect([lane, merged.lanes[lane]]).toEqual([lane, fresh.lanes[lane]])
    }), { numRuns: 60, endOnFailure: true })
    expect(compared).toBeGreaterThan(20)
  })

  test('are refused if a page is not the one that the block index says', async () => {
    await fc.assert(fc.asyncProperty(CASES, async (given) => {
      const spoiled = (inputs: MergeInput[]): void => {
        const input = inputs.find(({ current }) => current.size > 0)!
        input.rows.pages.crcs[input.rows.blocks.indexOf(input.current.at(0))]! ^= 1
      }
      const error = await merge(given, spoiled).then((found) => found, (failed: unknown) => failed)
      if (error === undefined) return
      expect(error).toBeInstanceOf(CorruptionError)
      expect((error as CorruptionError).code).toBe('lake.page-crc')
      expect((error as CorruptionError).position.file).toMatch(/^layer/)
    }), { numRuns: 5, endOnFailure: true })
  })

  test('that give a superseded block are found: the page is another one (planted)', async () => {
    const given = fc.sample(CASES.filter(({ t, owners }) => t.pages.length > 2 && owners[0] === 2), { numRuns: 5, seed: 7 })
    let differs = 0
    for (const one of given) {
      const found = await merge(one, (inputs) => {
        inputs.at(-1)!.current = inputs.at(-1)!.current.subtract(BlockSet.of([0]))
        inputs[0]!.current = inputs[0]!.current.union(BlockSet.of([0]))
      })
      if (found && !Buffer.from(rebuildPages(found.parquet)).equals(Buffer.from(rebuildPages(found.fresh.parquet)))) differs++
    }
    expect(differs).toBeGreaterThan(0)
  })
})

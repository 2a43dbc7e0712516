import { isPositioned } from '../../src/common/errors.ts'
import type { Snapshot } from '../../src/engine/snapshot.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { parseRelation, type RelationLayers } from '../../src/lake/state/relationlayers.ts'
import { parseStatus } from '../../src/lake/state/status.ts'
import { isVisible, lsnNumber, type SimBlock, type SimCluster } from './simcluster.ts'
import { check } from './world.ts'

/** Content of a layer file of the simulation: blocks of one relation. */
export type SimFile = [block: number, content: SimBlock][]

/** An object of the simulation: a file, or a pack with files of relations by their keys. */
export type SimObject = { blocks: SimFile } | { relations: Record<string, SimFile> }

/** What an object that a state refers to has of a relation; undefined for a missing object. */
export async function fetchFile(store: ObjectStore, key: string, relation: string): Promise<SimFile | undefined> {
  const found = await store.get(key)
  if (found === undefined) return undefined
  const object = JSON.parse(Buffer.from(found.bytes).toString()) as SimObject
  if ('blocks' in object) return object.blocks
  const file = object.relations[relation]
  check(file !== undefined, `the pack ${key} has nothing of ${relation}`)
  return file
}

/** Blocks of one relation by its layers. @returns undefined if an object is missing */
async function readBlocks(store: ObjectStore, relation: string, layers: RelationLayers['layers']): Promise<Map<number, SimBlock> | undefined> {
  const blocks = new Map<number, SimBlock>()
  for (const { smallest, files } of layers) {
    for (const block of blocks.keys()) if (block >= smallest) blocks.delete(block)
    for (const { key } of files) {
      const file = await fetchFile(store, key, relation)
      if (file === undefined) return undefined
      for (const [block, content] of file) blocks.set(block, content)
    }
  }
  return blocks
}

/**
 * Reads a whole state and compares it with what the cluster was at its LSN: every block, and the bank's sum.
 * @returns the key of an object that is missing; undefined if all is there and right
 */
export async function audit(snapshot: Snapshot, cluster: SimCluster, store: ObjectStore): Promise<string | undefined> {
  const { state } = snapshot
  const lsn = lsnNumber(state.lsn)
  const at = `state ${state.sequence} at LSN ${state.lsn} of timeline ${state.timeline}`
  const relations: [string, unknown][] = []
  const committed = new Map<number, boolean>()
  try {
    await snapshot.scan('layers', (key, value) => relations.push([key, value]))
    await snapshot.scan('status', (key, value) => {
      const status = parseStatus(value, { tree: 'status', key })
      check('lsn' in status && lsnNumber(status.lsn) <= lsn, `${at}: transaction ${key} ended behind the state`)
      committed.set(Number(key), status.ended === 'committed')
    })
  } catch (error) {
    if (isPositioned(error) && error.code === 'lake.missing-object') return error.reason
    throw error
  }
  const expected = new Set(cluster.relationsAt(lsn).map(({ key }) => key))
  check(relations.length === expected.size && relations.every(([key]) => expected.has(key)), `${at}: relations ${relations.map(([key]) => key).join()} are not ${[...expected].join()}`)
  let sum = 0
  for (const [key, value] of relations) {
    const entry = { tree: 'layers', key } as const
    const { layers } = parseRelation(value, entry)
    const blocks = await readBlocks(store, key, layers)
    if (blocks === undefined) return `a layer of ${key}`
    const length = cluster.lengthAt(entry, lsn)
    check(layers.at(-1)!.length === length || layers.length > 1 && blocks.size === length, `${at}: relation ${key} has ${blocks.size} blocks, not ${length}`)
    for (let block = 0; block < length; block++) {
      const content = blocks.get(block)
      check(content !== undefined, `${at}: block ${block} of ${key} is missing`)
      check(JSON.stringify(content) === JSON.stringify(cluster.blockAt(entry, block, lsn)), `${at}: block ${block} of ${key} is not what it was`)
      for (const tuple of content) if (isVisible(tuple, (xid) => committed.get(xid) === true)) sum += tuple.balance
    }
  }
  check(sum === cluster.total, `${at}: the bank has ${sum}, not ${cluster.total}`)
  return undefined
}

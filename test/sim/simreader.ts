import { isPositioned } from '../../src/common/errors.ts'
import type { Snapshot } from '../../src/engine/snapshot.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { isPacked, type LayerFile } from '../../src/lake/layer.ts'
import { packRange } from '../../src/lake/pack.ts'
import { parseStateRelation, type StateRelation } from '../../src/lake/staterelation.ts'
import { parseStatus } from '../../src/lake/state/status.ts'
import { isVisible, lsnNumber, type SimBlock, type SimCluster } from './simcluster.ts'
import type { SimFile } from './simtable.ts'
import { check } from './world.ts'

/** What a file that a state refers to has; undefined for a missing object. */
export async function fetchFile(store: ObjectStore, file: LayerFile): Promise<SimFile | undefined> {
  if (!isPacked(file)) {
    const found = await store.get(file.key)
    return found && (JSON.parse(Buffer.from(found.bytes).toString()) as { blocks: SimFile }).blocks
  }
  const range = packRange(file.pack)
  for (;;) {
    const found = await store.get(file.key, range)
    if (found === undefined) return undefined
    // A reader that gets less than it asked for asks again.
    if (found.bytes.length < range.end - range.start) continue
    let at = 0
    return file.pack.sizes.map((size, i): [number, SimBlock] => [
      file.blocks.at(i), JSON.parse(Buffer.from(found.bytes.subarray(at, at += size)).toString()) as SimBlock])
  }
}

/** Blocks of one relation by its layers. @returns undefined if an object is missing */
async function readBlocks(store: ObjectStore, layers: StateRelation['layers']): Promise<Map<number, SimBlock> | undefined> {
  const blocks = new Map<number, SimBlock>()
  for (const { smallest, files } of layers) {
    for (const block of blocks.keys()) if (block >= smallest) blocks.delete(block)
    for (const stored of files) {
      const file = await fetchFile(store, stored)
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
      check(status.ended === 'open' || 'lsn' in status && lsnNumber(status.lsn) <= lsn, `${at}: transaction ${key} ended behind the state`)
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
    const { layers } = parseStateRelation(key, value)
    const blocks = await readBlocks(store, layers)
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

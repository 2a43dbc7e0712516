import { EnvironmentError, isPositioned } from '../../src/common/errors.ts'
import { registeredHeads } from '../../src/engine/collect.ts'
import type { Lake } from '../../src/engine/lake.ts'
import { jobObjectName } from '../../src/engine/references.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import type { BranchWriter } from '../../src/engine/writer.ts'
import type { BlockSet } from '../../src/common/blockset.ts'
import { PartWriter } from '../../src/jobs/materialize/partwriter.ts'
import { type LayerFile, layerFileJson } from '../../src/lake/layer.ts'
import type { Layer } from '../../src/lake/layerorder.ts'
import { mergedLayer } from '../../src/lake/mergeplan.ts'
import { materialize, type Materialized, mergeLayers, type RelationChange } from '../../src/lake/state/changes.ts'
import type { Head } from '../../src/lake/state/head.ts'
import { partKey } from '../../src/lake/state/names.ts'
import { isDead } from '../../src/lake/state/reachable.ts'
import type { EntryKey } from '../../src/lake/state/entries.ts'
import { parseRelation, type StateLayer } from '../../src/lake/state/relationlayers.ts'
import type { StateRoot } from '../../src/lake/state/stateroot.ts'
import { parseStatus, statusEdit } from '../../src/lake/state/status.ts'
import { parseStateRelation, type StateRelation } from '../../src/lake/staterelation.ts'
import { tableFolder } from '../../src/lake/tablefolder.ts'
import type { Random } from '../support/random.ts'
import { FROZEN, lsnNumber, lsnText, type SimBlock, type SimCluster, type TransactionEnd } from './simcluster.ts'
import { fetchFile } from './simreader.ts'
import { CATALOG, DATABASE, DESCRIPTION, type SimFile, SimPack, tableFile, tableInfo } from './simtable.ts'
import { check } from './world.ts'

/** What ends a process, or a piece of its work, in a world of faults: everything else is a failure of the protocol. */
export function isExpected(error: unknown): boolean {
  return isPositioned(error) && ['commit.fenced', 'commit.unknown', 'store.unavailable', 'lake.branch-dropped', 'lake.no-branch'].includes(error.code)
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return isPositioned(error) && codes.includes(error.code)
}

async function uploadWhole(lake: Lake, key: string, bytes: Uint8Array): Promise<void> {
  const upload = lake.ports.store.upload(key)
  await upload.write(bytes)
  try {
    await upload.finish()
  } catch (error) {
    if (!hasCode(error, 'store.upload-gone')) throw error
    check(isDead(key, await registeredHeads(lake)), `gc removed the upload of ${key}, which may still be committed`)
    throw new EnvironmentError('commit.fenced', 'the upload was removed')
  }
}

/** Half of the relations are small: what is written of them together is one object. */
function isSmall(relation: EntryKey): boolean {
  return Number(relation.key.split('/')[1]) % 2 === 1
}

/** Length in blocks at which tables become packed ones is not by their length here: a table may change sides whenever it is rewritten. */
export function isPackedTable(relation: EntryKey, length: number): boolean {
  return isSmall(relation) && length > 0
}

function dataKey(cluster: { database: string; oid: number }, name: string): string {
  return `${tableFolder({ dbOid: DATABASE.oid, schema: 'public', name: `t${cluster.oid}`, ...cluster })}/data/${name}.json`
}

/** What changed in the cluster, as layers. @param name of a new object @param padding characters in each entry, so that small lakes have large states */
async function makeLayers(
  lake: Lake, cluster: SimCluster, from: number, to: number, name: () => string, padding: number,
): Promise<RelationChange[]> {
  const { store } = lake.ports
  const changes: RelationChange[] = []
  const now = cluster.relationsAt(to)
  const pack = new SimPack(name())
  const parts = new PartWriter(store, () => partKey(name()))
  const ended = cluster.endAt(to)
  for (const relation of now) {
    const blocks = cluster.changedBlocks(relation, from, to)
    const isKnown = from > 0 && cluster.relationsAt(from).some(({ key }) => key === relation.key)
    const smallest = isKnown ? cluster.smallestBetween(relation, from, to) : 0
    const length = cluster.lengthAt(relation, to)
    if (isKnown && blocks.length === 0 && smallest === cluster.lengthAt(relation, from) && length === smallest) continue
    const oid = cluster.oidOf(relation)
    const info = isKnown ? {} : { info: tableInfo(relation, oid, await parts.add(DESCRIPTION)) }
    const content = blocks.map((block): [number, SimBlock] => [block, cluster.blockAt(relation, block, to)])
    const layer = { smallest, length }
    const files = blocks.length === 0 ? [] : [isSmall(relation) ? pack.add(relation, content, layer, ended)
      : await putFile(lake, dataKey({ database: DATABASE.name, oid }, name()), content, ended, padding)]
    changes.push({ relation, ...info, layer: { lsn: lsnText(to), ...layer, files: files.map(layerFileJson) } })
  }
  await parts.finish()
  if (!pack.isEmpty) await store.put(pack.key, pack.bytes())
  const gone = from === 0 ? [] : cluster.relationsAt(from).filter(({ key }) => !now.some((other) => other.key === key))
  return [...changes, ...gone.map((relation) => ({ relation }))]
}

async function putFile(lake: Lake, key: string, content: SimFile, ended: TransactionEnd, padding: number): Promise<LayerFile> {
  const { file, bytes, index } = tableFile(key, content, ended, padding)
  if (content.length % 2 === 0) await lake.ports.store.put(key, bytes)
  else await uploadWhole(lake, key, bytes)
  if (index) await lake.ports.store.put(index.key, index.bytes)
  return file
}

/** What a state has beside layers: how transactions ended, those that have not, and at first the cluster. */
export function othersBetween(cluster: SimCluster, from: number, to: number): Materialized['others'] {
  return [
    ...cluster.endsBetween(from, to).map(({ xid, status }) => statusEdit(BigInt(xid), status)),
    ...cluster.openAt(to).map((xid) => statusEdit(BigInt(xid), { ended: 'open' })), ...(from === 0 ? CATALOG : []),
  ]
}

/** Brings a branch to where its cluster is. @returns HEAD with it; undefined if there is nothing to do */
export async function materializeOnce(lake: Lake, writer: BranchWriter, cluster: SimCluster, padding: number): Promise<Head | undefined> {
  const base = writer.head.state
  const from = lsnNumber(base.lsn)
  const to = cluster.lsn
  if (to === from) return undefined
  const work = writer.begin()
  const relations = await makeLayers(lake, cluster, from, to, () => work.name(), padding)
  const position = { timeline: cluster.timeline, lsn: lsnText(to), time: to }
  return await writer.commit(materialize({ from: base, position, relations, others: othersBetween(cluster, from, to) }), work)
}

/** A relation's layers, as the shipped plan of merges takes them. @returns undefined if an object is missing */
async function withBlocks(lake: Lake, layers: StateRelation['layers']): Promise<Layer<SimLayerFile>[] | undefined> {
  const found: Layer<SimLayerFile>[] = []
  for (const { files, ...layer } of layers) {
    const read: SimLayerFile[] = []
    for (const stored of files) {
      const file = await fetchFile(lake.ports.store, stored)
      if (file === undefined) return undefined
      read.push({ blocks: stored.blocks, content: new Map(file) })
    }
    found.push({ ...layer, files: read })
  }
  return found
}

interface SimLayerFile {
  blocks: BlockSet
  content: ReadonlyMap<number, SimBlock>
}

/** A relation as a state has it: its layers as they are in the entry, and as they are read. */
interface SimRelation extends StateRelation {
  readonly entries: readonly StateLayer[]
}

/** What a merge makes of some of the newest layers of a relation: all but the object. */
interface SimMerge {
  readonly relation: SimRelation
  readonly inputs: readonly StateLayer[]
  readonly merged: { smallest: number; length: number }
  readonly file: SimFile
}

/** @returns undefined if an object is missing */
async function mergeOf(lake: Lake, relation: SimRelation, random: Random): Promise<SimMerge | undefined> {
  const first = random.int(relation.layers.length - 1)
  const read = await withBlocks(lake, relation.layers)
  if (read === undefined) return undefined
  const { files, smallest, length } = mergedLayer(read, first)
  const blocks = files.flatMap(({ file, current }) => [...current].map((block): [number, SimBlock] => [block, file.content.get(block)!]))
  return { relation, inputs: relation.entries.slice(first), merged: { smallest, length }, file: blocks.sort(([a], [b]) => a - b) }
}

/** How transactions ended, as a state has it. */
async function endInState(snapshot: Snapshot): Promise<TransactionEnd> {
  const ends = new Map<number, ReturnType<TransactionEnd>>([[FROZEN, 'committed']])
  await snapshot.scan('status', (key, value) => void ends.set(Number(key), parseStatus(value, { tree: 'status', key }).ended))
  return (xid) => ends.get(xid) ?? 'open'
}

/** Merges some of the newest layers of a relation, or of all small ones into one object. @returns HEAD with it; undefined if there is nothing to merge, or no longer */
export async function mergeOnce(lake: Lake, writer: BranchWriter, random: Random, padding: number): Promise<Head | undefined> {
  const { head } = writer
  const snapshot = Snapshot.of(lake, head, head.state)
  const relations: SimRelation[] = []
  await snapshot.scan('layers', (key, value) => {
    relations.push({ ...parseStateRelation(key, value), entries: parseRelation(value, { tree: 'layers', key }).layers })
  })
  const several = relations.filter(({ layers }) => layers.length > 1)
  if (several.length === 0) return undefined
  const ended = await endInState(snapshot)
  const picked = random.pick(several)
  const work = writer.begin()
  const merges: SimMerge[] = []
  for (const one of isSmall(picked.entry) ? several.filter(({ entry }) => isSmall(entry)) : [picked]) {
    const merge = await mergeOf(lake, one, random)
    if (merge === undefined) {
      work.end()
      return undefined
    }
    merges.push(merge)
  }
  const pack = new SimPack(work.name())
  const outputs: Parameters<typeof mergeLayers>[0][number][] = []
  for (const { relation: { entry, info }, inputs, merged, file } of merges) {
    const files = file.length === 0 ? [] : [isSmall(entry) ? pack.add(entry, file, merged, ended)
      : await putFile(lake, dataKey({ database: DATABASE.name, oid: info.oid }, work.name()), file, ended, padding)]
    outputs.push({ relation: entry, inputs, output: { lsn: head.state.lsn, ...merged, files: files.map(layerFileJson) } })
  }
  if (!pack.isEmpty) await lake.ports.store.put(pack.key, pack.bytes())
  // The commit may come long after: what was committed since goes first, and gc meets the object.
  if (random.chance(30)) await lake.ports.clock.sleep(random.int(20_000))
  try {
    return await writer.commit(mergeLayers(outputs), work)
  } catch (error) {
    if (hasCode(error, 'commit.stale')) return undefined
    throw error
  }
}

/** The results of a job's units, in as many attempts as it takes. */
export async function makeUnits(lake: Lake, cluster: SimCluster, job: { branch: string; id: string; base: StateRoot }, to: number, padding: number): Promise<RelationChange[]> {
  return await makeLayers(lake, cluster, lsnNumber(job.base.lsn), to, () => jobObjectName(lake, job.branch, job.id), padding)
}

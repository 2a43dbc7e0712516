import { EnvironmentError, isPositioned } from '../../src/common/errors.ts'
import { registeredHeads } from '../../src/engine/collect.ts'
import type { Lake } from '../../src/engine/lake.ts'
import { jobObjectName } from '../../src/engine/references.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import type { BranchWriter } from '../../src/engine/writer.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import type { Layer } from '../../src/lake/layerorder.ts'
import { mergedLayer } from '../../src/lake/mergeplan.ts'
import { materialize, mergeLayers, type RelationChange } from '../../src/lake/state/changes.ts'
import type { Head } from '../../src/lake/state/head.ts'
import { isDead } from '../../src/lake/state/reachable.ts'
import type { EntryKey } from '../../src/lake/state/entries.ts'
import { parseRelation, type StateLayer } from '../../src/lake/state/relationlayers.ts'
import type { StateRoot } from '../../src/lake/state/stateroot.ts'
import { statusEdit } from '../../src/lake/state/status.ts'
import type { Random } from '../support/random.ts'
import { lsnNumber, lsnText, type SimBlock, type SimCluster } from './simcluster.ts'
import { fetchFile, type SimFile } from './simreader.ts'
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
function isPacked(relation: EntryKey): boolean {
  return Number(relation.key.split('/')[1]) % 2 === 1
}

/** Gathers the files of small relations that are committed together. */
class SimPack {
  readonly key: string
  private readonly relations: Record<string, SimFile> = {}

  constructor(name: () => string) {
    this.key = `ltap/packs/${name()}.json`
  }

  add(relation: EntryKey, file: SimFile): void {
    this.relations[relation.key] = file
  }

  async put({ ports: { store } }: Lake): Promise<void> {
    if (Object.keys(this.relations).length > 0) await store.put(this.key, Buffer.from(JSON.stringify({ relations: this.relations })))
  }
}

/** What changed in the cluster, as layers. @param name of a new object @param padding characters in each entry, so that small lakes have large states */
async function makeLayers(
  lake: Lake, cluster: SimCluster, from: number, to: number, name: () => string, padding: number,
): Promise<RelationChange[]> {
  const changes: RelationChange[] = []
  const now = cluster.relationsAt(to)
  const pack = new SimPack(name)
  for (const relation of now) {
    const blocks = cluster.changedBlocks(relation, from, to)
    const isKnown = from > 0 && cluster.relationsAt(from).some(({ key }) => key === relation.key)
    const smallest = isKnown ? cluster.smallestBetween(relation, from, to) : 0
    const length = cluster.lengthAt(relation, to)
    if (isKnown && blocks.length === 0 && smallest === cluster.lengthAt(relation, from) && length === smallest) continue
    const file = blocks.map((block): [number, SimBlock] => [block, cluster.blockAt(relation, block, to)])
    const bytes = Buffer.from(JSON.stringify({ blocks: file }))
    const key = isPacked(relation) ? pack.key : `shop/public.t-${relation.key.split('/')[1]}/data/${name()}.json`
    if (isPacked(relation)) pack.add(relation, file)
    else if (blocks.length % 2 === 0) await lake.ports.store.put(key, bytes)
    else await uploadWhole(lake, key, bytes)
    changes.push({ relation, layer: { lsn: lsnText(to), smallest, length, files: [{ key, bounds: 'x'.repeat(padding) }] } })
  }
  await pack.put(lake)
  const gone = from === 0 ? [] : cluster.relationsAt(from).filter(({ key }) => !now.some((other) => other.key === key))
  return [...changes, ...gone.map((relation) => ({ relation }))]
}

/** Brings a branch to where its cluster is. @returns HEAD with it; undefined if there is nothing to do */
export async function materializeOnce(lake: Lake, writer: BranchWriter, cluster: SimCluster, padding: number): Promise<Head | undefined> {
  const base = writer.head.state
  const from = lsnNumber(base.lsn)
  const to = cluster.lsn
  if (to === from) return undefined
  const work = writer.begin()
  const relations = await makeLayers(lake, cluster, from, to, () => work.name(), padding)
  const others = cluster.endsBetween(from, to).map(({ xid, status }) => statusEdit(BigInt(xid), status))
  const position = { timeline: cluster.timeline, lsn: lsnText(to), time: to }
  return await writer.commit(materialize({ from: base, position, relations, others }), work)
}

/** A relation's layers, as the shipped plan of merges takes them. @returns undefined if an object is missing */
async function withBlocks(lake: Lake, relation: EntryKey, layers: readonly StateLayer[]): Promise<Layer<SimLayerFile>[] | undefined> {
  const found: Layer<SimLayerFile>[] = []
  for (const { lsn, smallest, length, files } of layers) {
    const read: SimLayerFile[] = []
    for (const { key } of files) {
      const file = await fetchFile(lake.ports.store, key, relation.key)
      if (file === undefined) return undefined
      read.push({ blocks: BlockSet.of(file.map(([block]) => block)), content: new Map(file) })
    }
    found.push({ lsn: walPosition(parseLsn(lsn)!), smallest, length, files: read })
  }
  return found
}

interface SimLayerFile {
  blocks: BlockSet
  content: ReadonlyMap<number, SimBlock>
}

/** What a merge makes of some of the newest layers of a relation: all but the object. */
interface SimMerge {
  readonly relation: EntryKey
  readonly inputs: readonly StateLayer[]
  readonly merged: { smallest: number; length: number }
  readonly file: SimFile
}

/** @returns undefined if an object is missing */
async function mergeOf(lake: Lake, { relation, layers }: { relation: EntryKey; layers: readonly StateLayer[] }, random: Random): Promise<SimMerge | undefined> {
  const first = random.int(layers.length - 1)
  const read = await withBlocks(lake, relation, layers)
  if (read === undefined) return undefined
  const { files, ...merged } = mergedLayer(read, first)
  const blocks = files.flatMap(({ file, current }) => [...current].map((block): [number, SimBlock] => [block, file.content.get(block)!]))
  return { relation, inputs: layers.slice(first), merged, file: blocks.sort(([a], [b]) => a - b) }
}

/** Merges some of the newest layers of a relation, or of all small ones into one object. @returns HEAD with it; undefined if there is nothing to merge, or no longer */
export async function mergeOnce(lake: Lake, writer: BranchWriter, random: Random, padding: number): Promise<Head | undefined> {
  const { head } = writer
  const snapshot = Snapshot.of(lake, head, head.state)
  const found: [string, unknown][] = []
  await snapshot.scan('layers', (key, value) => found.push([key, value]))
  const relations = found.map(([key, value]) => ({ relation: { tree: 'layers', key } as const, layers: parseRelation(value, { tree: 'layers', key }).layers }))
  const several = relations.filter(({ layers }) => layers.length > 1)
  if (several.length === 0) return undefined
  const picked = random.pick(several)
  const work = writer.begin()
  const merges: SimMerge[] = []
  for (const one of isPacked(picked.relation) ? several.filter(({ relation }) => isPacked(relation)) : [picked]) {
    const merge = await mergeOf(lake, one, random)
    if (merge === undefined) {
      work.end()
      return undefined
    }
    merges.push(merge)
  }
  const pack = new SimPack(() => work.name())
  const key = isPacked(picked.relation) ? pack.key : `shop/public.t-${picked.relation.key.split('/')[1]}/data/${work.name()}.json`
  if (isPacked(picked.relation)) {
    for (const { relation, file } of merges) pack.add(relation, file)
    await pack.put(lake)
  } else await lake.ports.store.put(key, Buffer.from(JSON.stringify({ blocks: merges[0]!.file })))
  // The commit may come long after: what was committed since goes first, and gc meets the object.
  if (random.chance(30)) await lake.ports.clock.sleep(random.int(20_000))
  const outputs = merges.map(({ relation, inputs, merged }) => ({ relation, inputs, output: { lsn: head.state.lsn, ...merged, files: [{ key, bounds: 'm'.repeat(padding) }] } }))
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

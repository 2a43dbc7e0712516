import { crc32c } from '../../src/common/crc32c.ts'
import { parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { rebuildFilePages } from '../../src/jobs/lakes/filepages.ts'
import { type FileOfRelation, filesOf, readBlockIndex, readDescription } from '../../src/jobs/lakes/layerfiles.ts'
import { openLayeredLake, openState } from '../../src/jobs/lakes/openlake.ts'
import { StateManifest } from '../../src/jobs/lakes/statemanifest.ts'
import { parseCatalogEntry } from '../../src/lake/clusterinfo.ts'
import { hiddenRows, type TransactionOutcome, type TransactionOutcomes } from '../../src/lake/hiddenrows.ts'
import { CurrentRelation } from '../../src/lake/layerorder.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import type { TableDescription } from '../../src/lake/relationinfo.ts'
import type { StateWish } from '../../src/lake/state/registrations.ts'
import { parseStatus, statusXid } from '../../src/lake/state/status.ts'
import { parseStateRelation, type StateRelation } from '../../src/lake/staterelation.ts'

/** A relation as a lake of layers has it, read in the plainest way. */
export interface LayeredRelation {
  relation: StateRelation
  name: string
  length: number
  /** Of each block: CRC-32C of its rebuilt page, and which of its rows are visible. */
  blocks: Map<number, { crc: number; visible: string }>
}

/** Everything in a state of `main`, by `database/relation number/tablespace`. */
export async function readLayeredLake(store: ObjectStore, at: StateWish = 'newest'): Promise<Map<string, LayeredRelation>> {
  const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
  const snapshot = await Snapshot.open(lake, 'main', at)
  const relations: StateRelation[] = []
  await snapshot.scan('layers', (key, value) => relations.push(parseStateRelation(key, value)))
  const outcomes = await readOutcomes(snapshot)
  const entry = parseCatalogEntry('cluster', (await snapshot.get([{ tree: 'catalog', key: 'cluster' }]))[0])
  const lsn = walPosition(parseLsn(snapshot.state.lsn)!)
  const found = new Map<string, LayeredRelation>()
  for (const relation of relations) {
    const { locator, info, layers } = relation
    const current = new CurrentRelation(layers)
    const blocks: LayeredRelation['blocks'] = new Map()
    for (const { file, current: wanted } of current.files) {
      if (wanted.size > 0) await readFile(store, file, wanted, { outcomes, lsn, checksums: entry.kind === 'cluster' && entry.cluster.checksums }, blocks)
    }
    found.set(`${locator.dbOid}/${locator.relNumber}/${locator.spcOid}`, { relation, name: `${info.schema}.${info.name}`, length: current.length, blocks })
  }
  return found
}

type File = StateRelation['layers'][number]['files'][number]

async function readFile(
  store: ObjectStore, file: File, wanted: File['blocks'], { outcomes, lsn, checksums }: { outcomes: TransactionOutcomes; lsn: WalPosition; checksums: boolean }, blocks: LayeredRelation['blocks'],
): Promise<void> {
  const { index } = await readBlockIndex(store, file)
  const hidden = hiddenRows(index, outcomes, lsn)
  await rebuildFilePages(store, file, checksums, (block, page, _, firstRow) => {
    if (!wanted.has(block)) return
    const rows = index.pages.rows[index.blocks.indexOf(block)]!
    const visible = Array.from({ length: rows }, (_row, i) => (hidden.has(firstRow + i) ? '.' : 'v')).join('')
    blocks.set(block, { crc: crc32c(page), visible })
  })
}

async function readOutcomes(snapshot: Snapshot): Promise<TransactionOutcomes> {
  const outcomes = new Map<number, TransactionOutcome>()
  await snapshot.scan('status', (key, value) => {
    const status = parseStatus(value, { tree: 'status', key })
    if (status.ended === 'open') return
    const position = (text: string): WalPosition => walPosition(parseLsn(text)!)
    const committed = status.ended === 'committed'
    const range = 'lsn' in status ? { endLsn: position(status.lsn) } : { endLsn: position(status.until), after: position(status.after) }
    outcomes.set(Number(statusXid({ key })), { committed, ...range })
  })
  return { find: (xid) => outcomes.get(xid) }
}

/** What differs between two lakes of one cluster at one LSN, in plain words; an empty list for none. */
export function layeredDifferences(ours: Map<string, LayeredRelation>, theirs: Map<string, LayeredRelation>): string[] {
  const problems: string[] = []
  for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
    const [a, b] = [ours.get(key), theirs.get(key)]
    if (a === undefined || b === undefined) {
      problems.push(`${(a ?? b)!.name} (${key}) is in one of them alone`)
      continue
    }
    if (describe(a) !== describe(b)) problems.push(`${a.name}: ${describe(a)} and ${describe(b)}`)
    for (const block of new Set([...a.blocks.keys(), ...b.blocks.keys()])) {
      const [x, y] = [a.blocks.get(block), b.blocks.get(block)]
      if (x?.crc !== y?.crc) problems.push(`${a.name} block ${block}: the pages differ`)
      if (x?.visible !== y?.visible) problems.push(`${a.name} block ${block}: ${x?.visible} and ${y?.visible} are visible`)
    }
  }
  return problems
}

function describe({ relation: { info }, length }: LayeredRelation): string {
  return JSON.stringify({ ...info, description: '', length })
}

/** The newest state of a lake in a folder: what it says, and where files and columns of its relations are. */
export class NewestState {
  readonly manifest: Manifest
  private readonly state: StateManifest
  private readonly lake: Lake

  private constructor(lake: Lake, state: StateManifest) {
    this.lake = lake
    this.state = state
    this.manifest = state.manifest
  }

  static async read(place: string): Promise<NewestState> {
    const lake = await openLayeredLake(place)
    return new NewestState(lake, await StateManifest.read(lake, await openState(lake)))
  }

  /** A relation of users, by its name. */
  relation(name: string): LakeRelation {
    const found = this.manifest.relations.find((relation) => relation.name === name && relation.schema !== 'pg_catalog')
    if (found === undefined) throw new Error(`${name} is not in the lake`)
    return found
  }

  async files(relation: LakeRelation): Promise<FileOfRelation[]> {
    return filesOf((await this.state.relation(relation))!, this.manifest.systemIdentifier)
  }

  async description(relation: LakeRelation): Promise<TableDescription> {
    return readDescription(this.lake.ports.store, await this.state.description(relation))
  }
}

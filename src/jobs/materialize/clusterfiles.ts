import { join } from 'node:path'
import { equalJson } from '../../common/equaljson.ts'
import { isPositioned } from '../../common/errors.ts'
import { formatWalPosition } from '../../common/ids.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { type ClusterEntry, clusterFilesOf } from '../../io/datadir/lakefiles.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import { readFile } from '../../io/disk/files.ts'
import type { ClusterInfo } from '../../lake/clusterinfo.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { type ClusterFile, fileKey, parseFile } from '../../lake/state/files.ts'
import type { Ancestor } from '../../replay/timelines.ts'
import { timelineHistoryName } from '../../wal/segment.ts'
import type { PartWriter } from './partwriter.ts'

/** Permission bits of a file that is made here. */
const MODE = 0o600
const TWOPHASE_FILE = /^pg_twophase\/(?:[0-9A-F]{8})?([0-9A-F]{8})$/

/**
 * What changed among the files of a cluster beside its heaps: those that are new or have other bytes are put into parts, those that are gone are removed.
 * @param before entries of the state before
 * @param losses takes a sentence for each file that the disk does not give, which is then left out; undefined: such a file is an error
 * @throws EnvironmentError file.*, store.*
 */
export async function clusterFileEdits(
  pgdata: string, cluster: DirectoryCluster, before: ReadonlyMap<string, unknown>, parts: PartWriter, losses?: Set<string>,
): Promise<(EntryKey & { value?: unknown })[]> {
  const edits: (EntryKey & { value?: unknown })[] = []
  const left = new Set(before.keys())
  for (const found of lakeEntries(pgdata, cluster)) {
    const key = fileKey(found.path)
    left.delete(key.key)
    const known = before.has(key.key) ? parseFile(before.get(key.key), key) : undefined
    const value = await fileOf(pgdata, found, known, parts).catch((error: unknown) => lost(error, found.path, losses))
    if (value === undefined && known === undefined || equalJson(value, known)) continue
    edits.push(value === undefined ? key : { ...key, value })
  }
  return [...edits, ...[...left].map((key) => ({ tree: 'files' as const, key }))]
}

/** @throws the error itself, unless the disk reports it and it may be left out */
function lost(error: unknown, path: string, losses: Set<string> | undefined): undefined {
  if (losses === undefined || !isPositioned(error) || error.code !== 'file.error') throw error
  losses.add(`the file ${path} cannot be read, and the lake does not have it: ${error.reason}`)
}

/** What pg_control would say, and does not, of files that replay made. A page store of an older ltap did not follow replication origins. */
export function replayedOf({ replayed }: Pick<DirectoryCluster, 'replayed'>): Pick<ClusterInfo, 'replayed'> {
  if (replayed?.transactions.origins === undefined) return {}
  const { lsn: _lsn, ...rest } = replayed
  return { replayed: { ...rest, transactions: { ...rest.transactions, prepared: [] } } }
}

/** What a lake keeps of a cluster besides heaps. `made`: a file that is not in the data directory. */
export type LakeEntry = ClusterEntry | { kind: 'made'; path: string; content: Uint8Array }

/** What a lake keeps of a data directory, or of what replay made, besides heaps; a folder before what is in it. @throws EnvironmentError file.*, datadir.* */
export function* lakeEntries(pgdata: string, { major, control: { catalogVersion }, replayed, timeline }: DirectoryCluster): Generator<LakeEntry> {
  const prepared = replayed && new Set(replayed.transactions.prepared.map(({ xid }) => xid))
  const timelineHistory = `pg_wal/${timelineHistoryName(timeline)}`
  let isThere = false
  for (const entry of clusterFilesOf(pgdata, { major, catalogVersion })) {
    isThere ||= entry.path === timelineHistory
    // A copy may have files of transactions that ended before it, or began behind it.
    const xid = TWOPHASE_FILE.exec(entry.path)?.[1]
    if (xid === undefined || prepared === undefined || prepared.has(Number.parseInt(xid, 16))) yield entry
  }
  const ancestors = replayed?.ancestors ?? []
  if (ancestors.length === 0 || isThere) return
  yield { kind: 'made', path: timelineHistory, content: utf8Encode(ancestorsText(ancestors)) }
}

/** A history file, as a replay knows it: what it says for people is lost. */
export function ancestorsText(ancestors: readonly Ancestor[]): string {
  return ancestors.map(({ timeline, end }) => `${timeline}\t${formatWalPosition(end)}\tltap replay\n`).join('')
}

async function fileOf(pgdata: string, entry: LakeEntry, known: ClusterFile | undefined, parts: PartWriter): Promise<ClusterFile> {
  if (entry.kind === 'link') return { kind: 'link', target: entry.target }
  if (entry.kind === 'folder') return { kind: 'folder', mode: entry.mode }
  const { bytes, mode } = entry.kind === 'made' ? { bytes: entry.content, mode: MODE } : { bytes: readFile(join(pgdata, entry.path)), mode: entry.mode }
  if (bytes.length === 0) return { kind: 'file', mode }
  return { kind: 'file', mode, content: await parts.add(bytes, known?.kind === 'file' ? known.content : undefined) }
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError, withPosition } from '../../common/errors.ts'
import { formatLsn, formatWalPosition, parseLsn, walPosition } from '../../common/ids.ts'
import { utf8Decode } from '../../common/utf8.ts'
import type { Lake } from '../../engine/lake.ts'
import { readPiece } from '../../engine/pagereader.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import { readFile } from '../../io/disk/files.ts'
import { fileKey, parseFile } from '../../lake/state/files.ts'
import type { Head } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { parseState, STATE_FILE } from '../../replay/pagestore/statefile.ts'
import type { Ancestor } from '../../replay/timelines.ts'
import { timelineHistoryName } from '../../wal/segment.ts'
import { openLake } from '../lakes/openlake.ts'
import { ancestorsText } from './clusterfiles.ts'
import { parseTimelineHistory } from '../../wal/timelinehistory.ts'

/**
 * A lake goes on only with the cluster that it is of, on the line of its history.
 * @throws EnvironmentError lake.other-cluster, lake.other-lsn, lake.timeline; CorruptionError wal.history
 */
export async function refuseOtherSource(lake: Lake, head: Head, cluster: Source, pgdata: string): Promise<void> {
  const { format, ports: { store } } = lake
  const { state } = head
  if (String(cluster.systemIdentifier) !== format.systemIdentifier) {
    throw new EnvironmentError('lake.other-cluster', `${pgdata} is of the cluster with system identifier ${cluster.systemIdentifier}, the lake in ${store.url} `
      + `of ${format.systemIdentifier}: name another place for a lake of this cluster`)
  }
  if (state.sequence === 0) return
  const at = parseLsn(state.lsn)!
  if (cluster.lsn < at) {
    throw new EnvironmentError('lake.other-lsn', `${pgdata} is at LSN ${formatLsn(cluster.lsn)}, the lake in ${store.url} at LSN ${state.lsn}, which is newer: `
      + 'bring a newer copy, or more WAL (--wal)')
  }
  if (cluster.timeline === state.timeline) {
    const known = await timelineHistoryText(lake, head)
    const ours = ownTimelineHistory(cluster, pgdata)
    // Two restores to one state, or two promotions, begin timelines of one number.
    if (known === undefined || ours === undefined || areSame(known, ours, state.timeline)) return
    const file = join(pgdata, 'pg_wal', timelineHistoryName(cluster.timeline))
    throw otherTimeline(state, cluster, pgdata, `has the same number and another history: ${file} is not the one that the lake has`)
  }
  if (cluster.timeline < state.timeline) throw otherTimeline(state, cluster, pgdata, 'is no ancestor of it')
  const left = ancestorsOf(state, cluster, pgdata).find(({ timeline }) => timeline === state.timeline)
  if (left === undefined) throw otherTimeline(state, cluster, pgdata, 'is no ancestor of it')
  if (walPosition(at) > left.end) throw otherTimeline(state, cluster, pgdata, `was left at LSN ${formatWalPosition(left.end)}, before that`)
}

/**
 * Before anything is replayed into it, a page store is refused that is of another cluster, or that the lake's newest state is no past of. One that is
 * behind that state may reach it.
 * @throws as {@link refuseOtherSource}; CorruptionError pagestore.state
 */
export async function refuseOtherCache(place: string, cache: string, branch: string = MAIN_BRANCH): Promise<void> {
  const file = join(cache, STATE_FILE)
  const lake = existsSync(file) ? await openLake(place) : undefined
  if (lake === undefined) return
  const { identity: { systemIdentifier }, replay } = withPosition({ file }, () => parseState(readFile(file)))
  const { lsn, transactions: { timeline } } = replay
  const head = await lake.head(branch)
  const isBehind = head.state.sequence > 0 && BigInt(lsn) < parseLsn(head.state.lsn)! && timeline <= head.state.timeline
  const state = isBehind ? { ...head.state, sequence: 0 } : head.state
  await refuseOtherSource(lake, { ...head, state }, { systemIdentifier, lsn: BigInt(lsn), timeline, replayed: replay }, cache)
}

type Source = Pick<DirectoryCluster, 'systemIdentifier' | 'lsn' | 'timeline' | 'replayed'>

function ancestorsOf(state: Head['state'], cluster: Source, pgdata: string): readonly Ancestor[] {
  if (cluster.replayed !== undefined) {
    const { ancestors } = cluster.replayed
    if (ancestors !== undefined) return ancestors
    throw otherTimeline(state, cluster, pgdata, 'may be no ancestor of it: the replay did not learn the history of its timeline; name the WAL with --wal')
  }
  const text = ownTimelineHistory(cluster, pgdata)
  if (text !== undefined) return parseTimelineHistory(text, cluster.timeline).slice(0, -1)
  const file = join(pgdata, 'pg_wal', timelineHistoryName(cluster.timeline))
  throw otherTimeline(state, cluster, pgdata, `may be no ancestor of it: ${file}, which tells, is missing; bring it there`)
}

/** The history file of the cluster's timeline; undefined without one. */
function ownTimelineHistory({ timeline, replayed }: Source, pgdata: string): string | undefined {
  if (replayed !== undefined) return replayed.ancestors && ancestorsText(replayed.ancestors)
  const file = join(pgdata, 'pg_wal', timelineHistoryName(timeline))
  return existsSync(file) ? utf8Decode(readFile(file)) : undefined
}

/** What a history says for people tells two timelines apart that left one ancestor at one LSN. A replay has no such words. */
function areSame(one: string, two: string, timeline: number): boolean {
  if (one === two) return true
  const [ours, theirs] = [one, two].map((text) => ancestorsText(parseTimelineHistory(text, timeline).slice(0, -1))) as [string, string]
  return ours === theirs && (one === ours || two === theirs)
}

/** The history file of the state's timeline, as the state has it. */
async function timelineHistoryText(lake: Lake, head: Head): Promise<string | undefined> {
  const entry = fileKey(`pg_wal/${timelineHistoryName(head.state.timeline)}`)
  const [value] = await Snapshot.of(lake, head, head.state).get([entry])
  const file = value === undefined ? undefined : parseFile(value, entry)
  if (file?.kind !== 'file' || file.content === undefined) return undefined
  return utf8Decode(await readPiece(lake.ports.store, file.content))
}

function otherTimeline({ timeline, lsn }: Head['state'], cluster: Source, pgdata: string, why: string): EnvironmentError {
  return new EnvironmentError('lake.timeline', `${pgdata} is on timeline ${cluster.timeline}; the lake is at LSN ${lsn} of timeline ${timeline}, which ${why}: `
    + 'what the lake has is not this cluster\'s past; make another lake')
}

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import { formatLsn } from '../../common/ids.ts'
import { RecentlyUsed } from '../../common/recentlyused.ts'
import { Lake } from '../../engine/lake.ts'
import { findJob } from '../../engine/openjob.ts'
import { jobObjectName } from '../../engine/references.ts'
import type { LakePorts } from '../../engine/lake.ts'
import { type DirectoryCluster, type DirectoryOptions, openCluster } from '../../io/cluster.ts'
import type { JobIdentity } from '../../lake/job/identity.ts'
import type { Unit } from '../../lake/job/unit.ts'
import { decodeUnitTask, type UnitFile, type UnitReading, type UnitTask } from '../../lake/job/unittask.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { JobTasks, type Pool } from '../pool.ts'
import type { SnapshotKey } from '../tasks/snapshots.ts'
import type { TranscodeTask } from '../tasks/transcodetask.ts'

/** TOAST relations whose index is kept: several files of one table follow each other. */
const TOAST_KEPT = 4

/** @throws EnvironmentError job.other-lake unless the lake is the one that a line is about */
export function checkLake({ format: { main }, ports: { store } }: Lake, identity: JobIdentity): void {
  if (main === identity.main) return
  throw new EnvironmentError('job.other-lake',
    `${store.url} is not the lake of job ${identity.job}, which was planned for ${identity.lake}: name that one with --lake`)
}

/** One job as a worker sees it: its lake and its data directory, opened and found to be the planned ones. */
export class JobContext {
  readonly lake: Lake
  private readonly branchId: string
  private readonly identity: JobIdentity
  private readonly source: string
  private readonly tasks: JobTasks
  private readonly toast: RecentlyUsed<string, Promise<NonNullable<TranscodeTask['toast']>>> = new RecentlyUsed(TOAST_KEPT)
  private checked: DirectoryCluster | undefined

  private constructor(lake: Lake, branchId: string, identity: JobIdentity, source: string, pool: Pool) {
    this.lake = lake
    this.branchId = branchId
    this.identity = identity
    this.source = source
    this.tasks = new JobTasks(pool)
  }

  /** @throws EnvironmentError job.other-lake, commit.job-gone, job.done, lake.*, store.* */
  static async open(ports: LakePorts, identity: JobIdentity, source: string, pool: Pool): Promise<JobContext> {
    const lake = await Lake.open(ports)
    checkLake(lake, identity)
    const { head, ...found } = await findJob(lake, identity.branch, identity.job)
    if ('job' in found) return new JobContext(lake, head.branch.id, identity, source, pool)
    throw new EnvironmentError('job.done', `job ${identity.job} is committed already: nothing of it is left to do`)
  }

  /** Name of a new object: another one for each attempt. */
  newName(): string {
    return jobObjectName(this.lake, this.branchId, this.identity.job)
  }

  /** What a unit is about. @throws CorruptionError job.task, lake.footer; EnvironmentError job.other-source, datadir.* */
  async task({ task: ref, unit }: Unit): Promise<UnitTask> {
    const task = decodeUnitTask(await readPiece(this.lake.ports.store, ref), `the task of unit ${unit}`)
    this.checkSource(task.reading)
    return task
  }

  /** The data directory for a task of the pool. */
  snapshot(reading: UnitReading): SnapshotKey {
    return { pgdata: this.source, job: this.tasks.job, options: readingOptions(reading) }
  }

  /** A path below the data directory. */
  path(path: string): string {
    return join(this.source, path)
  }

  /** The TOAST relation of a file's table, with the index of its chunks, which is made once for several files. */
  async toastOf({ toast }: UnitFile, reading: UnitReading): Promise<TranscodeTask['toast']> {
    if (toast === undefined) return undefined
    const { oid, path, segments, blocks } = toast
    const fork = { path: this.path(path), segments }
    return await this.toast.get(path, async () => ({
      relationId: oid, fork,
      index: blocks === 0 ? { parts: [] } : await this.tasks.run('toastIndex', { snapshot: this.snapshot(reading), fork, onCorrupt: reading.onCorrupt }),
    }))
  }

  /** A directory that is another one, or that a server ran on since, has other pages than those that were planned. */
  private checkSource(reading: UnitReading): void {
    const { systemIdentifier, timeline, lsn, job } = this.identity
    const found = this.checked ??= openCluster(this.source, readingOptions(reading))
    if (String(found.systemIdentifier) === systemIdentifier && found.timeline === timeline && formatLsn(found.lsn) === lsn) return
    throw new EnvironmentError('job.other-source',
      `${this.source} is at LSN ${formatLsn(found.lsn)} of timeline ${found.timeline}, system identifier ${found.systemIdentifier}; `
      + `job ${job} reads LSN ${lsn} of timeline ${timeline}, system identifier ${systemIdentifier}: name a copy of that data directory with --source`)
  }
}

function readingOptions({ systemIdentifier, ...rest }: UnitReading): DirectoryOptions {
  return { ...rest, ...(systemIdentifier !== undefined && { systemIdentifier: BigInt(systemIdentifier) }) }
}

/** @throws CorruptionError lake.object */
export async function readPiece(store: LakePorts['store'], { key, start, length, crc, sha256 }: PieceRef): Promise<Uint8Array> {
  const found = await store.get(key, { start, end: start + length })
  if (found === undefined) {
    throw new CorruptionError('lake.object', `${store.url} has no object ${key}, which a job refers to: the job was dropped, or it is of another lake`)
  }
  const { bytes } = found
  if (bytes.length === length && crc32c(bytes) === crc && createHash('sha256').update(bytes).digest('base64url') === sha256) return bytes
  throw new CorruptionError('lake.object', `${length} bytes at byte ${start} of the object ${key} in ${store.url} are not those that were written`)
}

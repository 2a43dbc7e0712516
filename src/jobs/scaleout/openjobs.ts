import { EnvironmentError } from '../../common/errors.ts'
import { removeReference } from '../../engine/references.ts'
import type { OpenJob } from '../../lake/state/head.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { openLayeredLake } from '../lakes/openlake.ts'

/** A job that was planned and not committed. */
export interface OpenJobSummary {
  id: string
  name: string
  systemIdentifier: string
  /** Where the lake is once it is committed. */
  lsn: string
  /** Where the lake was when it was planned; null for a new one. */
  from: string | null
  /** False: the planner has not come to its end, or was killed. */
  planned: boolean
}

/** @throws EnvironmentError lake.*, store.* */
export async function listJobs(place: string): Promise<OpenJobSummary[]> {
  const lake = await openLayeredLake(place)
  return (await lake.head(MAIN_BRANCH)).jobs.map(summaryOf)
}

/**
 * Ends a job without a commit: gc removes its objects, and a commit of it is refused from now on.
 * @param job its id or name
 * @throws EnvironmentError job.missing, lake.*, store.*
 */
export async function dropJob(place: string, job: string): Promise<OpenJobSummary> {
  const lake = await openLayeredLake(place)
  const { jobs } = await lake.head(MAIN_BRANCH)
  const found = jobs.find(({ id, name }) => id === job || name === job)
  if (found === undefined) {
    const names = jobs.map(({ name }) => name).join(', ')
    throw new EnvironmentError('job.missing', `the lake in ${lake.ports.store.url} has no open job ${job}; it has ${names || 'none'}`)
  }
  await removeReference(lake, MAIN_BRANCH, 'jobs', found.id)
  return summaryOf(found)
}

function summaryOf({ id, name, source: { systemIdentifier, lsn }, state, plan }: OpenJob): OpenJobSummary {
  return { id, name, systemIdentifier, lsn, from: state.sequence === 0 ? null : state.lsn, planned: plan !== undefined }
}

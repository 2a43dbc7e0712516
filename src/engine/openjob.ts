import { EnvironmentError } from '../common/errors.ts'
import { crc32cUpdate } from '../common/crc32c.ts'
import { dataView } from '../common/bytes.ts'
import type { Head, OpenJob, PlanReference } from '../lake/state/head.ts'
import { refuseDropped, retainedStates } from '../lake/state/registrations.ts'
import type { StateRoot } from '../lake/state/stateroot.ts'
import type { Lake } from './lake.ts'
import type { ObjectStore } from './objectstore.ts'

/** A job in HEAD, or the state that its commit made. */
export type FoundJob = { readonly head: Head; readonly job: OpenJob } | { readonly head: Head; readonly state: StateRoot }

/** Says in HEAD which object has the job's plan: only then its results can be committed. @throws EnvironmentError commit.job-gone */
export async function setPlan(lake: Lake, branch: string, id: string, plan: PlanReference): Promise<Head> {
  return await lake.changeHead(branch, (head) => {
    refuseDropped(head)
    const job = head.jobs.find((open) => open.id === id)
    if (job === undefined) throw jobGone(id, branch)
    if (job.plan !== undefined) return undefined
    return { ...head, commit: lake.ports.random.nonce(), jobs: head.jobs.map((open) => (open.id === id ? { ...open, plan } : open)) }
  })
}

/** @throws EnvironmentError commit.job-gone for a job that is not open and that made no state which the branch retains */
export async function findJob(lake: Lake, branch: string, id: string): Promise<FoundJob> {
  const head = await lake.head(branch)
  const job = head.jobs.find((open) => open.id === id)
  if (job !== undefined) return { head, job }
  const states = await lake.runHead(branch, retainedStates)
  const state = states.find((made) => made.job === id)
  if (state === undefined) throw jobGone(id, branch)
  return { head, state }
}

function jobGone(id: string, branch: string): EnvironmentError {
  return new EnvironmentError('commit.job-gone',
    `job ${id} is not open in branch ${branch}: it was dropped, or it was committed and its state is not kept any more; plan it again`)
}

/** Bytes of one request. */
const READ_BYTES = 8 << 20

/** Why an object is not the one that was written; undefined if it is. It is read from end to end, some MB at a time. */
export async function objectFault(store: ObjectStore, { key, bytes, crc }: PlanReference): Promise<string | undefined> {
  let state = -1
  for (let start = 0; start < bytes;) {
    const found = await store.get(key, { start, end: Math.min(bytes, start + READ_BYTES) })
    if (found === undefined) return `${store.url} has no object ${key}`
    if (found.size !== bytes || found.bytes.length === 0) return `the object ${key} has ${found.size} bytes, not ${bytes}`
    state = crc32cUpdate(state, dataView(found.bytes), 0, found.bytes.length)
    start += found.bytes.length
  }
  return (state ^ -1) >>> 0 === crc ? undefined : `the object ${key} does not have the CRC of what was written`
}

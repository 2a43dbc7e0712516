import { isPositioned } from '../../common/errors.ts'
import type { JobIdentity } from '../../lake/job/identity.ts'
import { parseResult, type UnitResult } from '../../lake/job/result.ts'
import { LTAP_VERSION } from '../version.ts'

/** Results of one job. */
export interface JobResults {
  readonly identity: JobIdentity
  readonly results: readonly UnitResult[]
}

/** What lines gave. */
export interface ReadResults {
  /** Results by id of the job. */
  readonly jobs: ReadonlyMap<string, JobResults>
  /** A sentence for each line that is no result, or that is an error. */
  readonly remarks: readonly string[]
}

/** Reads results, in any order, some of them twice. A line that was cut, or is no result, costs nothing but itself. */
export async function readResults(lines: AsyncIterable<string> | Iterable<string>): Promise<ReadResults> {
  const jobs = new Map<string, { identity: JobIdentity; results: UnitResult[] }>()
  const remarks: string[] = []
  let number = 0
  for await (const line of lines) {
    number++
    if (line.trim() === '') continue
    try {
      const result = parseResult(line, LTAP_VERSION, `line ${number} of the results`)
      const known = jobs.get(result.job) ?? { identity: result, results: [] }
      jobs.set(result.job, known)
      known.results.push(result)
      if (result.error) remarks.push(`unit ${result.unit} failed: ${result.error.message}`)
    } catch (error) {
      if (!isPositioned(error)) throw error
      remarks.push(error.message)
    }
  }
  return { jobs, remarks }
}

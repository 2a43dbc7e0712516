import * as v from 'valibot'
import { UnsupportedError } from '../../common/errors.ts'
import { lsnText, matching, parseJson, type Persisted, type Schema, systemIdentifierText, text, unsigned32 } from '../../common/validate.ts'
import { NONCE, REFERENCE_NAME } from '../state/names.ts'
import { shortText, STATE_FORMAT } from '../state/page.ts'

/** What every line about a job says: of which job it is, and what that reads. */
export interface JobIdentity {
  /** Version of ltap that planned the job. */
  readonly ltap: string
  readonly format: number
  /** URL or path of the lake, where the job was planned. */
  readonly lake: string
  /** Id of the lake's branch `main`: no two lakes have the same one. */
  readonly main: string
  readonly branch: string
  /** Id of the open job. */
  readonly job: string
  /** System identifier of the data directory that is read. */
  readonly systemIdentifier: string
  readonly timeline: number
  readonly lsn: string
}

const nonce = matching(NONCE, 'a nonce of 20 characters [0-9a-z]')

/** The members of a {@link JobIdentity}, for schemas of what has them. */
export const IDENTITY: { readonly [Member in keyof JobIdentity]: Schema<JobIdentity[Member]> } = {
  ltap: shortText, format: v.literal(STATE_FORMAT, String(STATE_FORMAT)), lake: shortText, main: nonce,
  branch: matching(REFERENCE_NAME, 'a name of [a-z0-9_-], at most 63 characters'), job: nonce,
  systemIdentifier: systemIdentifierText, timeline: unsigned32, lsn: lsnText,
}

/** The members of an identity alone. */
export function identityOf({ ltap, format, lake, main, branch, job, systemIdentifier, timeline, lsn }: JobIdentity): JobIdentity {
  return { ltap, format, lake, main, branch, job, systemIdentifier, timeline, lsn }
}

/** The most bytes of a line: what is longer goes into an object of the job. */
export const LINE_BYTES_MAX: number = 64 << 10

const VERSION = v.object({ ltap: text, format: v.number() })

/**
 * @param ltap version of this program: what another one planned may mean something else
 * @returns the JSON of the line
 * @throws CorruptionError for what is no JSON; UnsupportedError job.version
 */
export function parseLine(line: string, ltap: string, persisted: Persisted): unknown {
  const found = parseJson(line, persisted)
  if (!v.is(VERSION, found) || found.ltap === ltap && found.format === STATE_FORMAT) return found
  throw new UnsupportedError('job.version',
    `${persisted.name} is of a job that ltap ${found.ltap} planned, with format version ${found.format}; this is ltap ${ltap} with ${STATE_FORMAT}: `
    + 'use the same ltap on all machines')
}

import { UnsupportedError } from './errors.ts'

/** Postgres majors whose files we read. */
export const PG_MAJORS = [14, 15, 16, 17, 18] as const
export type PgMajor = (typeof PG_MAJORS)[number]

/** Content of a PG_VERSION file to a supported major. */
export function parsePgMajor(text: string): PgMajor {
  const found = PG_MAJORS.find((major) => String(major) === text.trim())
  if (found === undefined) {
    throw new UnsupportedError('cluster.version', `PG_VERSION says '${text.trim().slice(0, 20)}', ltap reads 14 to 18`)
  }
  return found
}

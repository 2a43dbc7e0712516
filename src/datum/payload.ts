import { CorruptionError } from '../common/errors.ts'

/** Throws CorruptionError unless `source[start .. end)` are bytes that are there, `size` of them if given. */
export function checkPayload(type: string, source: Uint8Array, start: number, end: number, size?: number): void {
  if (start < 0 || start > end || end > source.length) throw new CorruptionError(`datum.${type}`, `bytes ${start} to ${end} of ${source.length}`)
  if (size !== undefined && end - start !== size) throw new CorruptionError(`datum.${type}`, `${end - start} bytes instead of ${size}`)
}

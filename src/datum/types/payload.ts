import { CorruptionError } from '../../common/errors.ts'

/** Throws CorruptionError unless `source[start .. end)` are bytes that are there, `size` of them if given. */
export function checkPayload(type: string, source: Uint8Array, start: number, end: number, size: number = end - start): void {
  if (start < 0 || start > end || end > source.length || end - start !== size) throw outside(type, source, start, end, size)
}

function outside(type: string, source: Uint8Array, start: number, end: number, size: number): CorruptionError {
  const there = `bytes ${start} to ${end} of ${source.length}`
  return new CorruptionError(`datum.${type}`, end - start === size ? there : `${there}, where ${size} are one value`)
}

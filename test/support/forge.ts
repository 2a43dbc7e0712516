/** Files whose descriptor says what a forger wants, every checksum right. */
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'

/** Set by code that runs although it came out of a file. */
export const CANARY = '__ltapCanary'
const CODE = `(globalThis.${CANARY}=1,4)`

/** JSON of values that no member should have, most of which run CODE if they ever become source text. */
export const CANARIES: readonly string[] = [
  JSON.stringify(CODE), JSON.stringify(`0;globalThis.${CANARY}=1;//`), JSON.stringify([CODE]), JSON.stringify([[CODE]]), '[]', '{}',
  JSON.stringify({ toString: CODE, valueOf: CODE, length: 1, 0: CODE }), `{"__proto__":{"len":${JSON.stringify(CODE)}},"constructor":{"prototype":1}}`,
  '-1', '-2147483649', '4294967296', '9007199254740993', '1e300', '1e999', '-0.5', '"NaN"', '"1"', '"__proto__"', 'null', 'true', 'false', '0',
  `${'['.repeat(5000)}${']'.repeat(5000)}`,
]

export interface Mutant {
  /** `relation.desc.attributes[0].len`. */
  path: string
  /** Last name of the path. */
  member: string
  original: unknown
  canary: string
  json: string
}

/** Every member of `value`, at every depth, replaced by every canary; and each object with a `__proto__` member, each member once missing. */
export function* mutants(value: unknown, canaries: readonly string[] = CANARIES): Iterable<Mutant> {
  const mark = '@canary@'
  function* inner(holder: Record<string, unknown>, path: string): Iterable<Mutant> {
    for (const key of Object.keys(holder)) {
      const original = holder[key]
      const name = Array.isArray(holder) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
      const member = /([A-Za-z]\w*)[^A-Za-z]*$/.exec(name)![1]!
      holder[key] = mark
      const json = JSON.stringify(value)
      for (const canary of canaries) yield { path: name, member, original, canary, json: json.replace(`"${mark}"`, () => canary) }
      if (!Array.isArray(holder)) {
        holder[key] = undefined
        yield { path: name, member, original, canary: 'missing', json: JSON.stringify(value) }
      }
      holder[key] = original
      if (original !== null && typeof original === 'object') yield* inner(original as Record<string, unknown>, name)
    }
  }
  yield* inner(value as Record<string, unknown>, '')
}

/** The JSON of a file's descriptor, without its checksum. */
export function descriptorOf(parquet: Uint8Array): string {
  const { start, end } = entryPlace(parquet)
  return `{${Buffer.from(parquet.subarray(start, end)).toString().slice(21)}`
}

/** The file with another descriptor and a checksum that is right. */
export function withDescriptor(parquet: Uint8Array, json: string): Uint8Array {
  const { start, end, lengthBytes } = entryPlace(parquet)
  const crc = crc32c(Buffer.from(json)).toString(16).padStart(8, '0')
  const entry = Buffer.from(`{"crc32c":"${crc}",${json.slice(1)}`)
  const file = Buffer.concat([parquet.subarray(0, start - lengthBytes), varint(entry.length), entry, parquet.subarray(end)])
  const grown = file.length - parquet.length
  file.writeUInt32LE(file.readUInt32LE(file.length - 8) + grown, file.length - 8)
  return new Uint8Array(file)
}

/** Thrift's compact protocol: a string is its length as a varint, then its bytes. */
function entryPlace(parquet: Uint8Array): { start: number; end: number; lengthBytes: number } {
  const start = Buffer.from(parquet.buffer, parquet.byteOffset, parquet.length).lastIndexOf('{"crc32c":"')
  for (let lengthBytes = 1; lengthBytes <= 5; lengthBytes++) {
    let length = 0
    for (let i = 0; i < lengthBytes; i++) length += (parquet[start - lengthBytes + i]! & 0x7f) * 128 ** i
    const end = start + length
    if (parquet[end - 1] === 0x7d && Buffer.compare(varint(length), parquet.subarray(start - lengthBytes, start)) === 0) return { start, end, lengthBytes }
  }
  throw new Error('no descriptor in this file')
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    bytes.push(left < 128 ? left : (left % 128) | 0x80)
    if (left < 128) return Buffer.from(bytes)
  }
}

/** HEAD with any text, its CRC right (src/lake/state/head.ts). */
export function sealedHead(text: Uint8Array): Uint8Array {
  const start = Buffer.from('lthd....')
  start.writeUInt32LE(crc32c(text), 4)
  return Buffer.concat([start, text])
}

export interface ForgeReport {
  mutants: number
  refused: number
  /** Accepted, and the pages are those that were read. */
  right: number
  /** What must not be: other errors, other pages, the canary, a type error that does not name its member. */
  faults: string[]
}

/** Rebuilds a file with every mutant of its descriptor. */
export function forgeFile(parquet: Uint8Array, canaries?: readonly string[]): ForgeReport {
  const report: ForgeReport = { mutants: 0, refused: 0, right: 0, faults: [] }
  const wanted = withoutChecksums(rebuildPages(parquet))
  for (const mutant of mutants(JSON.parse(descriptorOf(parquet)), canaries)) {
    report.mutants++
    const name = `${mutant.path} = ${mutant.canary.slice(0, 60)}`
    try {
      const found = rebuildPages(withDescriptor(parquet, mutant.json))
      if (Buffer.compare(withoutChecksums(found), wanted) === 0) report.right++
      else report.faults.push(`${name}: other pages`)
    } catch (error) {
      const problem = refusalProblem(error, mutant)
      if (problem === undefined) report.refused++
      else report.faults.push(`${name}: ${problem}`)
    }
    if (CANARY in globalThis) {
      report.faults.push(`${name}: the canary ran`)
      delete (globalThis as Record<string, unknown>)[CANARY]
    }
  }
  return report
}

/** What is wrong with how a mutant was refused; undefined if nothing is. */
export function refusalProblem(error: unknown, { path, member, original, canary }: Mutant): string | undefined {
  if (!(error instanceof CorruptionError || error instanceof UnsupportedError)) return String(error instanceof Error ? error.stack : error).slice(0, 400)
  // A display scale that is not there is 0: a prediction, which pages contradict.
  const isOtherType = canary === 'missing' ? !path.startsWith('displayScales.') : typeof original !== typeof JSON.parse(canary)
  if (isOtherType && !error.message.includes(member)) return `does not name the member: ${error.message}`
  if (/[\n\r\u001b]/.test(error.message) || error.message.length > 400) return 'its message is no line'
  return undefined
}

/** pd_checksum is what the descriptor's `checksums` decides, and no CRC covers. */
export function withoutChecksums(pages: Uint8Array): Uint8Array {
  const copy = pages.slice()
  for (let at = 8; at < copy.length; at += 8192) copy[at] = copy[at + 1] = 0
  return copy
}

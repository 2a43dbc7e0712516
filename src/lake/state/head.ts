import * as v from 'valibot'
import { UnsupportedError } from '../../common/errors.ts'
import { ByteWriter, readU32 } from '../../common/bytes.ts'
import { crc32c } from '../../common/crc32c.ts'
import { utf8Encode } from '../../common/utf8.ts'
import {
  count, faulty, integer, lsnText, matching, oneOf, type Persisted, type Schema, systemIdentifierText, unsigned32, validate,
} from '../../common/validate.ts'
import { NONCE, REFERENCE_NAME } from './names.ts'
import { objectKey, PAGE_REF, type PageRef, parseText, refuseNewer, shortText, STATE_FORMAT, type TreeName } from './page.ts'
import { sequenceNumber, STATE_ROOT, STATE_TREES, type StateRoot, type TreeRoots } from './stateroot.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { decodeStateText, encodeStateText } from './statetext.ts'

/** The most bytes of a HEAD, whatever the lake's size. */
const HEAD_BYTES_MAX = 256 << 10
/** How many epochs HEAD remembers: a writer that was fenced longer ago cannot learn whether its last commit is in the lake. */
export const EPOCHS_MAX = 64

/** An epoch of a branch: the time of one writer. */
export interface Epoch {
  readonly epoch: number
  /** Nonce of the writer that raised it: two writers may try the same number. */
  readonly writer: string
  /** The last sequence that it committed; 0 for nothing. */
  readonly sequence: number
}

/** A key's new value at one commit; without a value the key is removed. */
export interface LogEdit {
  readonly sequence: number
  readonly tree: keyof TreeRoots
  readonly key: string
  readonly value?: unknown
}

/** A root of objects besides the states that HEAD retains. Its id is a nonce, never reused. */
export interface Registration {
  readonly id: string
  readonly name: string
  readonly state: StateRoot
}

/** Pins a state for a reader, until it is removed or over. */
export interface Lease extends Registration {
  /** Milliseconds since 1970: a gc whose clock is past it removes the lease. Absent: it has no end. */
  readonly until?: number
}

/** Work that several processes do for one later commit. */
export interface OpenJob extends Registration {
  /** What it reads: a data directory's identity and LSN. */
  readonly source: { readonly systemIdentifier: string; readonly lsn: string }
  /** What its units are, once that is known: an object of the job. */
  readonly plan?: PlanReference
}

/** The object that says what the units of a job are. */
export interface PlanReference {
  readonly key: string
  readonly bytes: number
  /** CRC-32C of its bytes. */
  readonly crc: number
}

/** The only mutable object of a branch: a root of bounded size. */
export interface Head {
  readonly branch: { readonly id: string; readonly name: string }
  /** Fresh for each HEAD that is written, so that no two have equal bytes. */
  readonly commit: string
  /** The epoch of the writer of layers. */
  readonly epoch: number
  /** By epoch, the current one last. */
  readonly epochs: readonly Epoch[]
  /** The lowest sequence that an object of the current epoch may have and not be referred to yet. */
  readonly low: number
  /** The branch was deleted: no writer writes it any more. */
  readonly dropped?: true
  readonly state: StateRoot
  /** Edits of the newest commits: of `state` and of each state here without a log of its own. In the order of sequences. */
  readonly inline: readonly LogEdit[]
  /** LSNs that other things than layers have reached; absent: nothing yet. */
  readonly published?: string
  readonly archived?: string
  /** Earlier states, by sequence: the newest of them here, older ones in a tree. */
  readonly retained: readonly StateRoot[]
  readonly states?: PageRef
  /** States below this sequence are not retained, whatever the tree still has. */
  readonly keepFrom: number
  readonly branches: readonly Registration[]
  readonly tags: readonly Registration[]
  readonly leases: readonly Lease[]
  readonly jobs: readonly OpenJob[]
}

const nonce: Schema<string> = matching(NONCE, 'a nonce of 20 characters [0-9a-z]')
const referenceName: Schema<string> = matching(REFERENCE_NAME, 'a name of [a-z0-9_-], at most 63 characters')

const REGISTRATION = { id: nonce, name: shortText, state: STATE_ROOT }
const BRANCH = v.strictObject({ ...REGISTRATION, name: referenceName })
const LEASE = v.strictObject({ ...REGISTRATION, until: v.exactOptional(integer(0, Number.MAX_SAFE_INTEGER)) })
const HEAD = v.strictObject({
  format: integer(STATE_FORMAT, STATE_FORMAT), branch: v.strictObject({ id: nonce, name: referenceName }), commit: nonce, epoch: sequenceNumber,
  epochs: v.pipe(
    v.array(v.strictObject({ epoch: sequenceNumber, writer: nonce, sequence: sequenceNumber })), v.maxLength(EPOCHS_MAX, `at most ${EPOCHS_MAX} epochs`)),
  low: sequenceNumber, dropped: v.exactOptional(v.literal(true, 'true')), state: STATE_ROOT,
  inline: v.array(v.strictObject({
    sequence: sequenceNumber, tree: oneOf(STATE_TREES), key: matching(/^[\x21-\x7e]{1,200}$/, 'a key'),
    value: v.exactOptional(v.unknown()),
  })),
  published: v.exactOptional(lsnText), archived: v.exactOptional(lsnText), retained: v.array(STATE_ROOT), states: v.exactOptional(PAGE_REF),
  keepFrom: sequenceNumber, branches: v.array(BRANCH), tags: v.array(BRANCH), leases: v.array(LEASE),
  jobs: v.array(v.strictObject({
    ...REGISTRATION, source: v.strictObject({ systemIdentifier: systemIdentifierText, lsn: lsnText }),
    plan: v.exactOptional(v.strictObject({ key: objectKey, bytes: count, crc: unsigned32 })),
  })),
})

/*
 * Nothing refers to HEAD, so it has its CRC itself:
 *
 *   "lthd" | CRC-32C of the rest, u32 little-endian | its JSON, as statetext.ts has it
 */
const MAGIC = utf8Encode('lthd')
const CRC_LENGTH = 4

/** What error messages call the HEAD of a branch. */
function headOf(branch: string): Persisted {
  return { code: 'lake.head', name: `HEAD of branch ${branch}` }
}

/**
 * @param compressor of the lake; undefined leaves HEAD as JSON
 * @throws UnsupportedError lake.head-size if it has more than HEAD may have, before it is compressed
 */
export function encodeHead(head: Head, compressor?: Compressor): Uint8Array {
  const json = JSON.stringify({ format: STATE_FORMAT, ...head })
  const bytes = utf8Encode(json)
  if (bytes.length <= HEAD_BYTES_MAX) return withCrc(encodeStateText(json, compressor))
  const { branches, tags, leases, jobs } = head
  throw new UnsupportedError('lake.head-size',
    `HEAD of branch ${head.branch.name} would have ${bytes.length} bytes, above ${HEAD_BYTES_MAX}, with ${branches.length} branches, ${tags.length} tags, `
    + `${leases.length} leases and ${jobs.length} open jobs: delete some of them`)
}

/**
 * @param compressor of the lake, for what zstd did not make
 * @throws CorruptionError lake.head with the member; UnsupportedError lake.compressor, lake.format for what a newer ltap wrote, lake.head for a member
 * that this ltap does not know
 */
export function decodeHead(bytes: Uint8Array, branch: string, compressor?: Compressor): Head {
  const persisted = headOf(branch)
  const text = decodeStateText(checked(bytes, persisted), persisted, HEAD_BYTES_MAX, compressor)
  const { format: _, ...head } = validate(HEAD, refuseNewer(parseText(text, persisted), persisted.name), persisted)
  checkHead(head, persisted)
  return head
}

function withCrc(text: Uint8Array): Uint8Array {
  const out = new ByteWriter(MAGIC.length + CRC_LENGTH + text.length)
  out.copy(MAGIC)
  out.u32(crc32c(text))
  out.copy(text)
  return out.take()
}

/** What follows the CRC. */
function checked(bytes: Uint8Array, persisted: Persisted): Uint8Array {
  const start = MAGIC.length + CRC_LENGTH
  if (bytes.length < start || !MAGIC.every((byte, i) => bytes[i] === byte)) throw faulty(persisted, '', 'does not begin as a HEAD does')
  const text = bytes.subarray(start)
  if (crc32c(text) === readU32(bytes, MAGIC.length)) return text
  throw faulty(persisted, '', `has not the CRC of its ${text.length} bytes: it was changed after it was written`)
}

/** Checks that the members of a HEAD fit together. */
function checkHead(head: Head, persisted: Persisted): void {
  const { epochs, epoch, state, retained, inline, low } = head
  const last = epochs.at(-1)
  if (epoch !== (last?.epoch ?? 0)) throw faulty(persisted, 'epoch', `is ${epoch}, but the last one of epochs is ${last?.epoch ?? 'missing'}`)
  const back = epochs.findIndex((at, i) => i > 0 && epochs[i - 1]!.epoch >= at.epoch)
  if (back >= 0) throw faulty(persisted, `epochs[${back}].epoch`, `is ${epochs[back]!.epoch}, not above the one before it`)
  if ((last?.sequence ?? 0) > state.sequence) throw faulty(persisted, 'state.sequence', `is ${state.sequence}, but the epoch committed ${last?.sequence}`)
  if (low > state.sequence + 1) throw faulty(persisted, 'low', `is ${low}, above the next sequence`)
  if (state.log !== undefined) throw faulty(persisted, 'state.log', 'is there, but edits of the newest state are inline')
  const unsorted = retained.findIndex(({ sequence }, i) => sequence >= (retained[i + 1] ?? state).sequence)
  if (unsorted >= 0) throw faulty(persisted, `retained[${unsorted}].sequence`, 'is not below the next one')
  const edit = inline.findIndex(({ sequence }, i) => sequence > (inline[i + 1]?.sequence ?? state.sequence))
  if (edit >= 0) throw faulty(persisted, `inline[${edit}].sequence`, 'is above the next one')
}

/** The tree of the states that HEAD has no room for. */
export const STATES_TREE: TreeName = 'states'

/** Key of a state in that tree: keys sort as sequences do. */
export function stateKey(sequence: number): string {
  return String(sequence).padStart(15, '0')
}

import { alignUp, type ByteWriter } from '../../common/bytes.ts'
import { assert, CorruptionError } from '../../common/errors.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { decompress } from '../../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart, SHORT_PAYLOAD_MAX, varlenaLength } from '../../tuple/varlena.ts'

/*
 * Values inside a value: array elements, composite fields, range bounds. Each lies like an attribute in a tuple:
 *
 *   typlen > 0    aligned, typlen bytes
 *   typlen = -1   varlena with its own header; a 1-byte header is never aligned, a 4-byte one is, after zero bytes
 *   typlen = -2   bytes and a NUL, never aligned
 *
 * Positions count from the 4-byte header of the outer value, the *origin*, four bytes before its payload even if it was stored with a
 * 1-byte header. The origin may thus be -4 or lie in foreign bytes: it is only counted from, never read.
 */

/** Where the payload of the value just read is: in the source, or in bytes of its own if it was compressed. */
export interface ValueSlot {
  bytes: Uint8Array
  start: number
  end: number
}

export function newValueSlot(): ValueSlot {
  return { bytes: new Uint8Array(0), start: 0, end: 0 }
}

/** att_align_pointer (tupmacs.h): where the value begins that follows `at`. It may be past `end`; {@link readValue} sees to that. */
export function valueStart(bytes: Uint8Array, origin: number, at: number, end: number, layout: AttributeLayout): number {
  if (layout.len === -2) return at
  // Padding is zero and a 1-byte header never is, so a non-zero byte begins an unaligned value.
  if (layout.len === -1 && at < end && bytes[at] !== 0) return at
  return origin + alignUp(at - origin, layout.align)
}

/**
 * Reads the value that begins at `at` into `slot` and gives the position behind it. The slot is one per codec: nothing may be read from it
 * after a nested codec ran.
 * @throws CorruptionError when the value leaves [at, end) or is out of line
 */
export function readValue(bytes: Uint8Array, at: number, end: number, len: number, slot: ValueSlot): number {
  if (at >= end) throw new CorruptionError('datum.element', 'a value begins past the end of what holds it')
  slot.bytes = bytes
  slot.start = at
  if (len === -1) return readVarlena(bytes, at, end, slot)
  const next = len === -2 ? bytes.indexOf(0, at) + 1 : at + len
  if (next > end || next <= at) throw new CorruptionError('datum.element', `a value of length ${len} where ${end - at} bytes are left`)
  slot.end = len === -2 ? next - 1 : next
  return next
}

function readVarlena(bytes: Uint8Array, at: number, end: number, slot: ValueSlot): number {
  const next = at + varlenaLength(bytes, at, end)
  const first = bytes[at]!
  if (isExternal(first)) throw new CorruptionError('datum.element', 'an out-of-line value inside another value')
  if (isCompressed(first)) {
    slot.bytes = decompress(bytes, at + 4, next)
    slot.start = 0
    slot.end = slot.bytes.length
  } else {
    slot.start = payloadStart(bytes, at)
    slot.end = next
  }
  return next
}

/**
 * Begins a value: padding and room for the header that a server most likely writes. The payload goes to the returned position, the end of
 * `out`; then {@link endValue}.
 */
export function beginValue(out: ByteWriter, origin: number, layout: AttributeLayout): number {
  if (layout.len === -1) {
    if (layout.plain) {
      out.alignFrom(origin, layout.align)
      out.zeros(4)
    } else {
      out.zeros(1)
    }
  } else if (layout.len > 0) {
    out.alignFrom(origin, layout.align)
  }
  return out.length
}

/** Completes a value whose payload began at `start`: the 1-byte header if it fits and the storage is not plain, like heap_fill_tuple. */
export function endValue(out: ByteWriter, origin: number, start: number, layout: AttributeLayout): void {
  const size = out.length - start
  if (layout.len > 0) {
    assert(size === layout.len, `a codec wrote ${size} bytes for a type of ${layout.len}`)
  } else if (layout.len === -2) {
    out.u8(0)
  } else if (layout.plain) {
    out.setU32(start - 4, (size + 4) << 2)
  } else if (size <= SHORT_PAYLOAD_MAX) {
    out.bytes[start - 1] = ((size + 1) << 1) | 1
  } else {
    lengthenHeader(out, origin, start, layout.align)
  }
}

/** Turns the room for a 1-byte header before `start` into padding and a 4-byte header. */
function lengthenHeader(out: ByteWriter, origin: number, start: number, align: number): void {
  const size = out.length - start
  const header = origin + alignUp(start - 1 - origin, align)
  out.zeros(header + 4 - start)
  out.bytes.copyWithin(header + 4, start, start + size)
  out.bytes.fill(0, start - 1, header)
  out.setU32(header, (size + 4) << 2)
}
